"""When the stored result of a task is used again: its inputs, its source and the files that it names are the same."""

import hashlib
import inspect
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.serializers import JSONSerializer
from pydantic import Field

from unbroken.errors import DataError
from unbroken.stages.library import library_digest
from unbroken.storage.artifact import to_json, verify
from unbroken.storage.atomic import digest

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
log = logging.getLogger("unbroken.stages")


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
        """Return the name of the result's file."""
        task = task_ctx.task
        parts = [
            task.name,
            library_digest(),
            digest(Path(inspect.getfile(task.fn))),
            *(f"{name}={to_json(inputs[name]).decode()}" for name in sorted(inputs)),
        ]
        return f"{task.name}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"


class VerifiedJSON(JSONSerializer):
    """JSON behind its own SHA-256. A result that is not whole, or names a file that is gone or changed, is not used again."""

    type: str = Field(default="verified-json", frozen=True)

    def dumps(self, obj: Any) -> bytes:
        """Return a value as JSON behind its digest."""
        content = super().dumps(obj)
        return hashlib.sha256(content).hexdigest().encode() + b" " + content

    def loads(self, blob: bytes) -> Any:
        """Return a stored value; raise DataError if it does not hold, which makes Prefect run the task again."""
        try:
            value = super().loads(_verified_content(blob))
            verify(value)
        except DataError as error:
            log.warning("a stored result is not used, its stage runs again: %s", error)
            raise
        return value


@dataclass(frozen=True)
class ResultFolder:
    """The folder of a run's results; it lies in the folder of the run's data, so that they live and go together."""

    path: Path

    def __call__(self, task: Task[Parameters, Result]) -> Task[Parameters, Result]:
        """Return the task with its results in the folder."""
        return task.with_options(result_storage=self.path)


def _verified_content(blob: bytes) -> bytes:
    expected, _, content = blob.partition(b" ")
    if hashlib.sha256(content).hexdigest().encode() != expected:
        raise DataError(f"found other bytes than were stored: {content[:80]!r}")
    return content
