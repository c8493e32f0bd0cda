"""How a function becomes a Prefect flow: named after its data and model, and, deployed, started again after a crash."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Flow, flow
from prefect.runtime import flow_run
from prefect.states import Completed

from unbroken.errors.escaping import escape_controls
from unbroken.orchestration.acknowledgement import acknowledge_in_training
from unbroken.orchestration.form import explain_parameters
from unbroken.orchestration.records import VerifiedJSON
from unbroken.orchestration.restart import restart_after_crash, stop_with_supervisor, with_end_event

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

LONGEST_NAME = 60


def resumable_flow(name: str, run_name: str) -> Callable[[Callable[Parameters, Result]], Flow[Parameters, Result]]:
    """Make a function a flow that, deployed, is started again under the same id when its process dies.

    Args:
        name: The name of the flow.
        run_name: Template of a flow run's name over the flow's parameters; the number of the attempt is added to it.
    """
    decorate = flow(
        name=name,
        flow_run_name=lambda: name_flow_run(run_name),
        persist_result=False,
        result_serializer=VerifiedJSON(),  # Prefect stores what a flow fails with all the same
        on_running=[stop_with_supervisor, acknowledge_in_training],
        on_crashed=[restart_after_crash],
    )

    def make_flow(function: Callable[Parameters, Result]) -> Flow[Parameters, Result]:
        explain_parameters(function)
        return decorate(with_end_event(function))

    return make_flow


def name_flow_run(template: str) -> str:
    """Return the name of the flow run that is starting, at most LONGEST_NAME letters of it from the template."""
    text = escape_controls(template.format(**flow_run.parameters))
    shown = text if len(text) <= LONGEST_NAME else f"...{text[-LONGEST_NAME:]}"
    return f"{shown}, attempt {flow_run.run_count + 1}"  # the server counts this one a moment later


def skipped() -> Any:
    """Return the last state of a flow run that had nothing to do, visible by its name in the UI."""
    return Completed(name="Skipped", message="nothing new", data="Skipped: nothing new")
