"""How a function becomes a Prefect task: cached or not, retried where that can help, its result in the log."""

import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.assets import materialize
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.runtime import flow_run, task_run
from prefect.states import State
from prefect.tasks import MaterializingTask

from unbroken.errors.escaping import escape_log
from unbroken.orchestration.assets import PLACEHOLDER
from unbroken.orchestration.caching import InputsAndSource
from unbroken.orchestration.records import VerifiedJSON

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
log = logging.getLogger("unbroken.stages")

RETRIES = 3
RETRY_SECONDS = [1.0, 10.0, 60.0]


def cached_task(function: Callable[Parameters, Result]) -> Task[Parameters, Result]:
    """Make a function a task whose result is kept as JSON and used again while it holds (see `caching`)."""
    return task(**CACHED)(function)


def cached_asset_task(function: Callable[Parameters, Result]) -> MaterializingTask[Parameters, Result]:
    """Make a function a cached task whose file is an asset, which `declare_assets` names."""
    return materialize(PLACEHOLDER, **CACHED)(function)


def uncached_task(function: Callable[Parameters, Result]) -> Task[Parameters, Result]:
    """Make a function a task that looks at the world or changes it, and so runs each time."""
    return task(**UNCACHED)(function)


def uncached_asset_task(function: Callable[Parameters, Result]) -> MaterializingTask[Parameters, Result]:
    """Make a function an uncached task whose file is an asset, which `declare_assets` names."""
    return materialize(PLACEHOLDER, **UNCACHED)(function)


def is_transient(_: Task[..., Any], __: Any, state: State[Any]) -> bool:
    """Tell whether a failure may pass, as a full disk or a lost connection; any other would only come again."""
    return isinstance(state.result(raise_on_failure=False), OSError)


def log_result(task: Task[..., Any], _: TaskRun, state: State[Any]) -> None:
    """Log what a task gave, and whether it came from the cache."""
    log.info("%-15s %s%s", task.name, state.result() or "nothing", "  (cached)" if state.name == "Cached" else "")


def name_task_run() -> str:
    """Return the name of the task run in the UI."""
    return f"{task_run.task_name}: {flow_run.name}"


def is_no_hook_notice(record: logging.LogRecord) -> bool:
    """Tell whether a log record is something else than Prefect's announcement that it calls `log_result`."""
    return f"'{log_result.__name__}'" not in record.getMessage()


RETRIED: Any = {
    "retries": RETRIES,
    "retry_delay_seconds": RETRY_SECONDS,
    "retry_condition_fn": is_transient,
    "on_completion": [log_result],
    "task_run_name": name_task_run,
    "result_serializer": VerifiedJSON(),
}
CACHED: Any = {"cache_policy": InputsAndSource(), "persist_result": True} | RETRIED
UNCACHED: Any = {"cache_policy": NO_CACHE, "persist_result": False} | RETRIED

# Deployed, the library's log goes to the UI; at a terminal, to the terminal too.
logging.getLogger("unbroken").setLevel(logging.INFO)
escape_log()
# Prefect announces each call of a hook twice; the line that `log_result` logs says all.
logging.getLogger("prefect.task_runs").addFilter(is_no_hook_notice)
