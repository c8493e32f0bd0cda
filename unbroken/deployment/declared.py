"""What the project's `prefect.yaml` declares, in the terms of Prefect's API."""

import os
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml
from prefect import Flow
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.schedules import CronSchedule, construct_schedule
from prefect.events import DeploymentTriggerTypes
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.utilities.templating import apply_values
from pydantic import TypeAdapter, ValidationError

from unbroken.config.project import VARIABLE, Project
from unbroken.errors import ConfigError

FILE = "prefect.yaml"
DECLARED = [
    *("name", "entrypoint", "description", "tags", "parameters", "schedules", "paused", "concurrency_limit"),
    *("work_pool", "triggers", "pull", "version", "enforce_parameter_schema"),
]
SCHEDULE = ["cron", "interval", "rrule", "timezone", "anchor_date", "day_or", "active", "parameters", "slug"]
TRIGGER: TypeAdapter[DeploymentTriggerTypes] = TypeAdapter(DeploymentTriggerTypes)
WORKING_DIRECTORY = "prefect.deployments.steps.set_working_directory"


@dataclass(frozen=True)
class Deployment:
    """A deployment as it should be on the server."""

    flow: str
    name: str
    version: str | None
    fields: dict[str, Any]
    triggers: tuple[DeploymentTriggerTypes, ...]

    @property
    def full_name(self) -> str:
        """The name that a run is started by."""
        return f"{self.flow}/{self.name}"

    @property
    def directory(self) -> str | None:
        """The folder that its runs begin in, if a pull step sets one."""
        return working_directory(self.fields["pull_steps"])


def working_directory(pull_steps: Sequence[Mapping[str, Any]] | None) -> str | None:
    """Return the folder that pull steps set, if one does."""
    steps = [step[WORKING_DIRECTORY] for step in pull_steps or [] if WORKING_DIRECTORY in step]
    return steps[0].get("directory") if steps else None


def read(project: Project) -> list[Deployment]:
    """Return the deployments of a project; raise ConfigError naming what in the file, or in a flow, cannot be."""
    path = project.folder / FILE
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from error
    # Prefect fills placeholders such as {{ $PWD }} from the environment of this process alone.
    os.environ.update({VARIABLE: project.name, "PWD": str(project.folder)})
    with _in(f"{path}"):
        filled: Any = apply_values(dict(document), {}, remove_notset=False)
        entries = list(filled["deployments"])
    return [_deployment(str(path), entry, filled) for entry in entries]


def _deployment(path: str, entry: Any, document: dict[str, Any]) -> Deployment:
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        raise ConfigError(f"{path}: found a deployment without a name, expected `name:` in each")
    where = f"{path}: deployment {name!r}"
    _require_known(where, entry, DECLARED)
    if document.get("build") or document.get("push"):
        raise ConfigError(
            f"{path}: found build or push steps, expected none: deploy with `prefect deploy --all`, which takes them"
        )
    with _in(where):
        flow = _load(where, entry["entrypoint"])
        triggers = tuple(TRIGGER.validate_python(trigger) for trigger in entry.get("triggers") or [])
        fields = _fields(where, entry, flow, entry.get("pull", document.get("pull")))
    return Deployment(flow.name, name, entry.get("version") or flow.version, fields, triggers)


def _fields(where: str, entry: dict[str, Any], flow: Flow[..., Any], pull: Any) -> dict[str, Any]:
    limit = entry.get("concurrency_limit")
    options = limit if isinstance(limit, dict) else {"limit": limit}
    strategy = {key: value for key, value in options.items() if key != "limit"}
    pool = entry["work_pool"]
    return {
        "entrypoint": entry["entrypoint"],
        "description": entry.get("description") or flow.description,
        "tags": list(entry.get("tags") or []),
        "parameters": dict(entry.get("parameters") or {}),
        "job_variables": dict(pool.get("job_variables") or {}),
        "work_pool_name": pool["name"],
        "pull_steps": pull or [],
        "schedules": [_schedule(where, schedule) for schedule in entry.get("schedules") or []],
        "paused": bool(entry.get("paused", False)),
        "concurrency_limit": options["limit"],
        "concurrency_options": ConcurrencyOptions(**strategy).model_dump(mode="json") if strategy else None,
        "enforce_parameter_schema": bool(entry.get("enforce_parameter_schema", True)),
        "parameter_openapi_schema": parameter_schema(flow).model_dump(mode="json", exclude_unset=True),
    }


def _schedule(where: str, entry: dict[str, Any]) -> dict[str, Any]:
    _require_known(f"{where}, a schedule", entry, SCHEDULE)
    timing = {key: entry[key] for key in ("cron", "interval", "rrule", "timezone", "anchor_date") if key in entry}
    schedule = construct_schedule(**timing)
    if isinstance(schedule, CronSchedule) and "day_or" in entry:
        schedule.day_or = entry["day_or"]
    return {
        "schedule": schedule.model_dump(mode="json"),
        "active": bool(entry.get("active", True)),
        "parameters": dict(entry.get("parameters") or {}),
        "slug": entry.get("slug"),
    }


def _load(where: str, entrypoint: str) -> Flow[..., Any]:
    try:
        return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    except Exception as error:  # whatever a user's module raises
        cause = error.__cause__ or error
        raise ConfigError(f"{where}: {entrypoint} cannot be imported: {type(cause).__name__}: {cause}") from error


def _require_known(where: str, entry: Collection[str], names: Sequence[str]) -> None:
    unknown = sorted(set(entry) - set(names))
    if unknown:
        raise ConfigError(f"{where}: found {', '.join(unknown)}, expected only {', '.join(names)}")


@contextmanager
def _in(where: str) -> Generator[None]:
    """Raise ConfigError where a value is missing or of another kind than Prefect takes."""
    try:
        yield
    except ConfigError:
        raise
    except KeyError as error:
        raise ConfigError(f"{where}: found no {error.args[0]}, expected one") from error
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
        raise ConfigError(f"{where}: {'; '.join(problems)}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{where}: {error}") from error
