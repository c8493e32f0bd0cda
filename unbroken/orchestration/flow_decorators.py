"""How a function becomes a Prefect flow: named after its data and model, and, deployed, started again after a crash."""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from prefect import Flow, flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ParameterTypeError
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from unbroken.code.imports import import_from
from unbroken.errors import BlockedError, StoppedError, UnbrokenError
from unbroken.errors.escaping import escape_controls
from unbroken.orchestration.acknowledgement import acknowledge_in_training
from unbroken.orchestration.form import explain_parameters
from unbroken.orchestration.heartbeat import with_heartbeat
from unbroken.orchestration.records import VerifiedJSON
from unbroken.orchestration.restart import restart_after_crash, stop_with_supervisor
from unbroken.retraining.promotion import Decision

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

LONGEST_NAME = 60

LAST_STATE: ContextVar[State[Any] | None] = ContextVar("LAST_STATE", default=None)
"""What a flow of this context returned last, if it was a state."""


def show_nothing(_: UnbrokenError, *__: Any, **___: Any) -> None:
    """Keep no report of an error."""


def resumable_flow(
    name: str, run_name: str | Callable[..., str], on_error: Callable[..., None] = show_nothing
) -> Callable[[Callable[Parameters, Result]], Flow[Parameters, Result]]:
    """Make a function a flow that, deployed, is started again under the same id when its process dies.

    An error that a user can mend is its last state, with the paragraph as its message.

    Args:
        name: The name of the flow.
        run_name: Template of a flow run's name over the flow's parameters, or a function of them; the number of the attempt
            is added to it.
        on_error: Called with such an error and the flow's arguments, in the flow run.
    """
    decorate = flow(
        name=name,
        flow_run_name=lambda: name_flow_run(run_name),
        persist_result=False,
        result_serializer=VerifiedJSON(),  # Prefect stores what a flow fails with all the same
        on_running=[stop_with_supervisor, acknowledge_in_training],
        on_crashed=[restart_after_crash],
        on_completion=[keep_result],
        on_failure=[keep_result],
    )

    def make_flow(function: Callable[Parameters, Result]) -> Flow[Parameters, Result]:
        explain_parameters(function)
        return decorate(with_last_state(with_heartbeat(with_failed_state(in_project(function), on_error))))

    return make_flow


def in_project(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let a flow find the modules of the folder it runs in, which is the project's."""

    @wraps(function)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        import_from(Path.cwd())
        return function(*args, **kwargs)

    return wrapper


def with_failed_state(
    function: Callable[Parameters, Result], on_error: Callable[..., None]
) -> Callable[Parameters, Result]:
    """Let a flow end in a Failed state of its own where a user can mend the error: by its name one sees that data were blocked."""

    @wraps(function)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Any:
        try:
            return function(*args, **kwargs)
        except StoppedError:
            raise  # whoever sent the signal has a state of his own for it
        except UnbrokenError as error:
            on_error(error, *args, **kwargs)
            name = "Blocked" if isinstance(error, BlockedError) else "Failed"
            return Failed(name=name, message=str(error), data=error)

    return wrapper


def with_last_state(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Remember the state that a flow returns for `keep_result`."""

    @wraps(function)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        LAST_STATE.set(None)
        result = function(*args, **kwargs)
        LAST_STATE.set(result if isinstance(result, State) else None)
        return result

    return wrapper


def keep_result(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 (the names are the interface)
    """Give a last state that comes from the server its result, which the server does not keep.

    It comes from there if the answer to the first request was lost, so that the second found the run ended.
    """
    returned = LAST_STATE.get()
    if state.data is None and returned is not None and (returned.type, returned.name) == (state.type, state.name):
        state.data = returned.data


def is_no_known_error(record: logging.LogRecord) -> bool:
    """Tell whether a log record is something else than a traceback of an error that a user can mend: its state says it all."""
    return not (record.exc_info and isinstance(record.exc_info[1], UnbrokenError | ParameterTypeError))


def name_flow_run(template: str | Callable[..., str]) -> str:
    """Return the name of the flow run that is starting, at most LONGEST_NAME letters of it from the template."""
    parameters = flow_run.parameters
    text = escape_controls(template.format(**parameters) if isinstance(template, str) else template(**parameters))
    shown = text if len(text) <= LONGEST_NAME else f"...{text[-LONGEST_NAME:]}"
    return f"{shown}, attempt {flow_run.run_count + 1}"  # the server counts this one a moment later


def decided(decision: Decision) -> Any:
    """Return the last state of a retraining that came to a decision, which is its name in the UI."""
    return Completed(name=decision.name, message=str(decision), data=decision)


def skipped() -> Any:
    """Return the last state of a flow run that had nothing to do, visible by its name in the UI."""
    return Completed(name="Skipped", message="nothing new", data="Skipped: nothing new")


for runs in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(runs).addFilter(is_no_known_error)
