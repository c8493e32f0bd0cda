"""When the stored result of a task is used again: its inputs, its source and the files that it names are the same."""

import hashlib
import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext

from unbroken.code.source import library_digest
from unbroken.orchestration.records import check_records
from unbroken.storage.artifact import to_json
from unbroken.storage.atomic import digest

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class InputsAndSource(CachePolicy):
    """A result holds while the inputs and the source files of the library and of the task are the same.

    Prefect's own policy looks at the task function alone, and would serve stale results after an edit of what it calls.
    """

    def compute_key(
        self,
        task_ctx: TaskRunContext,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],  # noqa: ARG002 (the name is the interface)
        **_: Any,
    ) -> str:
        """Return the name of the result's file, and let Prefect read no other file than ours under it."""
        task = task_ctx.task
        check_records(task_ctx.result_store, task.fn)
        parts = [
            task.name,
            library_digest(),
            digest(Path(inspect.getfile(task.fn))),
            *(f"{name}={to_json(inputs[name]).decode()}" for name in sorted(inputs)),
        ]
        return f"{task.name}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"


@dataclass(frozen=True)
class ResultFolder:
    """The folder of a run's results; it lies in the folder of the run's data, so that they live and go together."""

    path: Path

    def __call__(self, task: Task[Parameters, Result]) -> Task[Parameters, Result]:
        """Return the task with its results in the folder."""
        return task.with_options(result_storage=self.path)
