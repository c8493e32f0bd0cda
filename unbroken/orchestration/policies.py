"""Prefect's knobs, all in one place: what is cached and when it still holds, what is retried, where results lie."""

import hashlib
import inspect
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from prefect import Flow, Task, flow, task
from prefect.assets import materialize
from prefect.cache_policies import NO_CACHE, CachePolicy
from prefect.client.schemas.objects import TaskRun
from prefect.context import TaskRunContext
from prefect.runtime import flow_run, task_run
from prefect.serializers import JSONSerializer
from prefect.states import Completed, State
from prefect.tasks import MaterializingTask
from pydantic import Field

from unbroken.errors import DataError
from unbroken.orchestration.assets import TO_BE_NAMED
from unbroken.orchestration.form import explain_parameters
from unbroken.orchestration.restart import emitting_left_event, end_with_supervisor, start_again
from unbroken.stages.source import source_digest
from unbroken.storage.artifact import to_json, verify
from unbroken.storage.atomic import digest

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
log = logging.getLogger("unbroken.stages")
LONGEST_NAME = 60
RETRIES = 3
RETRY_SECONDS = [1.0, 10.0, 60.0]


class SameInputsAndSource(CachePolicy):
    """A stage's result holds while its inputs and the source files of the library and of the task are the same.

    Prefect's own policy looks at the task function alone, and would serve stale results after an edit of what it calls.
    """

    def compute_key(
        self,
        task_ctx: TaskRunContext,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],  # noqa: ARG002 (the name is the interface)
        **_: Any,
    ) -> str:
        """Return the name of the result in the run's folder."""
        parts = [
            task_ctx.task.name,
            source_digest(),
            _file_digest(task_ctx.task),
            *(f"{name}={_json(inputs[name])}" for name in sorted(inputs)),
        ]
        return f"{task_ctx.task.name}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"


def _file_digest(task: Task[..., Any]) -> str:
    return digest(Path(inspect.getfile(task.fn)))


class VerifiedJSON(JSONSerializer):
    """JSON behind its own SHA-256. A result that is not whole, or names a file that is gone or changed, is not used again."""

    type: str = Field(default="verified-json", frozen=True)

    def dumps(self, obj: Any) -> bytes:
        """Return a value as JSON behind its digest."""
        content = super().dumps(obj)
        return hashlib.sha256(content).hexdigest().encode() + b" " + content

    def loads(self, blob: bytes) -> Any:
        """Return a stored value; raise DataError if it does not hold, which makes Prefect run the stage again."""
        try:
            value = super().loads(_whole(blob))
            verify(value)
        except DataError as error:
            log.warning("a stored result is not used, its stage runs again: %s", error)
            raise
        return value


def _whole(blob: bytes) -> bytes:
    digest, _, content = blob.partition(b" ")
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise DataError(f"found other bytes than were stored: {content[:80]!r}")
    return content


def may_pass(_: Task[..., Any], __: Any, state: State[Any]) -> bool:
    """Retry what may pass, such as a full disk or a lost connection; anything else would only come again."""
    return isinstance(state.result(raise_on_failure=False), OSError)


def _name_of_task_run() -> str:
    return f"{task_run.task_name}: {flow_run.name}"


def _tell(stage: Task[..., Any], _: TaskRun, state: State[Any]) -> None:
    log.info("%-15s %s%s", stage.name, state.result() or "nothing", "  (cached)" if state.name == "Cached" else "")


RETRIED: Any = {
    "retries": RETRIES,
    "retry_delay_seconds": RETRY_SECONDS,
    "retry_condition_fn": may_pass,
    "on_completion": [_tell],
    "task_run_name": _name_of_task_run,
}

CACHED: Any = {
    "cache_policy": SameInputsAndSource(),
    "persist_result": True,
    "result_serializer": VerifiedJSON(),
} | RETRIED

UNCACHED: Any = {"cache_policy": NO_CACHE, "persist_result": False} | RETRIED


def stage(function: Callable[Parameters, Result]) -> Task[Parameters, Result]:
    """Make a function a stage: cached in its run's folder as JSON, retried when that can help."""
    return task(**CACHED)(function)


def publishing_stage(function: Callable[Parameters, Result]) -> MaterializingTask[Parameters, Result]:
    """Make a function a stage whose file is an asset, named by `assets.naming`."""
    return materialize(TO_BE_NAMED, **CACHED)(function)


def uncached(function: Callable[Parameters, Result]) -> Task[Parameters, Result]:
    """Make a function a task that looks at the world or changes it, and so runs each time; retried when that can help."""
    return task(**UNCACHED)(function)


def publishing(function: Callable[Parameters, Result]) -> MaterializingTask[Parameters, Result]:
    """Make a function an uncached task whose file is an asset, named by `assets.naming`."""
    return materialize(TO_BE_NAMED, **UNCACHED)(function)


def nothing_new() -> Any:
    """Return the end of a run that had nothing to do, visible by its name in the UI."""
    return Completed(name="Skipped", message="nothing new", data="Skipped: nothing new")


def resumable(name: str, run_name: str) -> Callable[[Callable[Parameters, Result]], Flow[Parameters, Result]]:
    """Make a function a flow that, deployed, is started again when its process dies, under the same id.

    `run_name` is a template over the parameters that tells data and model; the number of the attempt is added to it.
    """

    def name_of_run() -> str:
        about = run_name.format(**flow_run.parameters)
        shown = about if len(about) <= LONGEST_NAME else f"...{about[-LONGEST_NAME:]}"
        return f"{shown}, attempt {flow_run.run_count + 1}"  # the server counts this one a moment later

    decorate = flow(
        name=name,
        flow_run_name=name_of_run,
        persist_result=False,
        on_running=[end_with_supervisor],
        on_crashed=[start_again],
    )

    def resumed(function: Callable[Parameters, Result]) -> Flow[Parameters, Result]:
        explain_parameters(function)
        return decorate(emitting_left_event(function))

    return resumed


@dataclass(frozen=True)
class KeepResultsIn:
    """Gives stages the folder of their results, so that data and results live and go together."""

    folder: Path

    def __call__(self, stage: Task[Parameters, Result]) -> Task[Parameters, Result]:
        """Return the stage with its results in the folder."""
        return stage.with_options(result_storage=self.folder)


def _without_notice(record: logging.LogRecord) -> bool:
    return f"'{_tell.__name__}'" not in record.getMessage()


# Deployed, the library's log goes to the UI; at a terminal, to the terminal too.
logging.getLogger("unbroken").setLevel(logging.INFO)


# Prefect announces each call of a hook twice; what this one has to say is the line that it logs.
logging.getLogger("prefect.task_runs").addFilter(_without_notice)


def _json(value: Any) -> str:
    return to_json(value).decode()
