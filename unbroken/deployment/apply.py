"""Bring work pool and deployments with their triggers onto a server: what is missing, and what differs only where asked to."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from prefect.automations import AutomationCore
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.workers.process import ProcessWorker

from unbroken.config.project import Project
from unbroken.deployment import automations
from unbroken.deployment.declared import Deployment, working_directory
from unbroken.deployment.differences import differences
from unbroken.errors import ConfigError, ServerError

SHOWN = 10
"""So many differences of one thing are shown."""
RESET = "unbroken apply --reset"


@dataclass(frozen=True)
class Item:
    """One thing on a server: as the project declares it, and as it is; None if it is missing."""

    title: str
    declared: dict[str, Any]
    on_server: dict[str, Any] | None
    create: Callable[[], object]
    update: Callable[[dict[str, Any]], object]


def apply(project: Project, deployments: list[Deployment], *, reset: bool) -> None:
    """Create what is missing on the server of the settings, and say what differs.

    Args:
        project: Whose work pool it is.
        deployments: What its prefect.yaml declares.
        reset: Take over from the project what differs; else it stays as somebody made it.

    Raises:
        ConfigError: The deployments of that name there are those of another folder; nothing is changed.
        ServerError: The server refuses.
    """
    left = False
    with get_client(sync_client=True) as client, _refusal_in_words():
        if not reset:
            require_own(client, project, deployments)
        for item in _items(client, project, deployments):
            left |= _apply(item, reset=reset) and not reset
    automations.remove()
    print("applied  work pool and deployments")
    if left:
        print(f"left     what differs, as it is on the server (left of the arrow); to take the project's: {RESET}")


def require_own(client: SyncPrefectClient, project: Project, deployments: list[Deployment]) -> None:
    """Raise ConfigError if deployments of these names run in another folder than this project's."""
    for deployment in deployments:
        existing = _read_deployment(client, deployment)
        directory = working_directory(existing.pull_steps) if existing else None
        if directory and deployment.directory and directory != deployment.directory:
            raise ConfigError(
                f"{deployment.full_name}: found a deployment of that name on the server that runs in {directory}, expected "
                f"{deployment.directory}. If that is another project, give this one a name of its own: UNBROKEN_PROJECT, or "
                f"`project` in run.toml (it is {project.name!r} now); if the project was moved, point it here: {RESET}"
            )


def _apply(item: Item, *, reset: bool) -> bool:
    """Create or update one thing, and return whether it differed."""
    if item.on_server is None:
        item.create()
        print(f"created  {item.title}")
        return False
    differing = differences(item.on_server, item.declared)
    if reset and differing:
        item.update({difference.field: item.declared[difference.field] for difference in differing})
    for difference in differing[:SHOWN]:
        print(f"{'reset' if reset else 'differs':8} {item.title}: {difference}")
    if len(differing) > SHOWN:
        print(f"{'':8} {item.title}: and {len(differing) - SHOWN} more")
    return bool(differing)


def _items(client: SyncPrefectClient, project: Project, deployments: list[Deployment]) -> Iterator[Item]:
    """Yield one thing after the other, each read when those before it are there."""
    yield _work_pool(client, project.name)
    for deployment in deployments:
        yield _deployment(client, deployment)
        existing = client.read_deployment_by_name(deployment.full_name)
        for trigger in deployment.triggers:
            trigger.set_deployment_id(existing.id)
            yield _automation(client, trigger.as_automation())


def _work_pool(client: SyncPrefectClient, name: str) -> Item:
    template = ProcessWorker.get_default_base_job_template()
    declared: dict[str, Any] = {"is_paused": False, "concurrency_limit": None}
    try:
        pool = client.read_work_pool(name)
    except ObjectNotFound:
        pool = None
    if pool is not None and pool.type == "process":  # another type has another template
        declared["base_job_template"] = template
    return Item(
        f"work pool {name}",
        declared,
        pool.model_dump(mode="json") if pool else None,
        lambda: client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template)),
        lambda changed: client.update_work_pool(name, WorkPoolUpdate(**changed)),
    )


def _automation(client: SyncPrefectClient, automation: AutomationCore) -> Item:
    existing = client.read_automations_by_name(automation.name)
    return Item(
        f"automation {automation.name!r}",
        _rule(automation),
        _rule(existing[0]) if existing else None,
        lambda: client.create_automation(automation),
        lambda _: client.update_automation(existing[0].id, automation),
    )


def _rule(automation: AutomationCore) -> dict[str, Any]:
    return automation.model_dump(mode="json", include={"description", "enabled", "trigger", "actions"})


def _deployment(client: SyncPrefectClient, deployment: Deployment) -> Item:
    existing = _read_deployment(client, deployment)
    return Item(
        f"deployment {deployment.full_name}",
        deployment.fields,
        _fields(existing) if existing else None,
        lambda: _create(client, deployment),
        lambda changed: existing and _update(client, existing, deployment.version, changed),
    )


def _read_deployment(client: SyncPrefectClient, deployment: Deployment) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(deployment.full_name)
    except ObjectNotFound:
        return None


def _fields(existing: DeploymentResponse) -> dict[str, Any]:
    limit = existing.global_concurrency_limit
    fields = existing.model_dump(mode="json", exclude={"concurrency_limit"})
    schedules = [
        {key: schedule[key] for key in ("schedule", "active", "parameters", "slug")} for schedule in fields["schedules"]
    ]
    return fields | {"concurrency_limit": limit and limit.limit, "schedules": schedules}


def _create(client: SyncPrefectClient, deployment: Deployment) -> None:
    options = deployment.fields["concurrency_options"]
    fields: dict[str, Any] = deployment.fields | {
        "schedules": [DeploymentScheduleCreate(**schedule) for schedule in deployment.fields["schedules"]],
        "concurrency_options": options and ConcurrencyOptions(**options),
    }
    flow_id = client.create_flow_from_name(deployment.flow)
    client.create_deployment(flow_id, deployment.name, version=deployment.version, **fields)


def _update(
    client: SyncPrefectClient, existing: DeploymentResponse, version: str | None, changed: dict[str, Any]
) -> None:
    if "schedules" in changed:  # with slugs among them the server would keep those that are not named
        for schedule in existing.schedules:
            client.delete_deployment_schedule(existing.id, schedule.id)
    client.update_deployment(existing.id, DeploymentUpdate(version=version, **changed))


@contextmanager
def _refusal_in_words() -> Generator[None]:
    try:
        yield
    except PrefectHTTPStatusError as error:
        answer = " ".join(error.response.text.split())
        raise ServerError(
            f"{error.request.method} {error.request.url.path}: the Prefect server refuses with "
            f"{error.response.status_code}: {answer}. Mend what prefect.yaml says of it"
        ) from error
    except httpx.TransportError as error:
        raise ServerError(
            f"{error.request.url.host}: the Prefect server was lost on the way: {error}. The same command goes on from there"
        ) from error
