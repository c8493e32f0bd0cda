"""All that deployed flows need, on this machine or on an existing server: work pool, worker, automations, deployments."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    get_current_settings,
    temporary_settings,
)
from prefect.workers.process import ProcessWorker

from unbroken.deployment import automations
from unbroken.deployment.database import require_database
from unbroken.deployment.pause import end_pause, paused_by_stop
from unbroken.deployment.processes import MARK
from unbroken.deployment.server_settings import ServerSettings, database_set_for_prefect, without_database
from unbroken.deployment.services import Service
from unbroken.deployment.stop import Stop
from unbroken.errors import ConfigError
from unbroken.orchestration.reachability import (
    INSTEAD_OF_A_DEPLOYMENTS,
    bypass_proxies,
    require_server,
    without_credentials,
)

ROOT = Path.cwd()
"""The project: its flows, its `prefect.yaml`."""
FOLDER = ROOT / ".serve"
SERVER = Service("server", FOLDER)
WORKER = Service("worker", FOLDER)
POOL = "unbroken"
SETTINGS = FOLDER / "server.json"
"""What the server was started with last; it may hold a password, so only its owner can read it."""
START_SECONDS = 120
REQUEST_SECONDS = 10.0
PREFECT = [sys.executable, "-m", "prefect"]


def serve(database: str | None = None, keep_days: int | None = None) -> None:
    """Start what is not running: the server, unless the profile names one, and a worker; then apply the rest.

    Args:
        database: `sqlite`, or the URL of a PostgreSQL; None: as the last time.
        keep_days: Days after its end that a run is kept with its log and reports; None: as the last time.
    """
    bypass_proxies()
    api = server_url()
    if get_current_settings().api.url:
        require_server(INSTEAD_OF_A_DEPLOYMENTS)
    else:
        _own_server(api, database, keep_days)
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = without_database(os.environ) | {"PREFECT_API_URL": api, "PATH": programs, MARK: str(ROOT)}
    applied = subprocess.run([sys.executable, "-m", "deploy", "apply"], cwd=ROOT, env=environment, check=False)
    if applied.returncode:
        sys.exit(applied.returncode)  # it has said why
    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        end_pause(client, paused_by_stop(FOLDER))
    started = WORKER.start([*PREFECT, "worker", "start", "--pool", POOL, "--type", "process"], environment)
    print(f"worker   {'started' if started else 'runs already'}, log {WORKER.log}")
    shown = without_credentials(api)
    print(f"open     {without_credentials(get_current_settings().ui_url or api).removesuffix('/api')}")
    print(f"run      PREFECT_API_URL={shown} {PREFECT[0]} -m prefect deployment run train/by-hand --watch")


def apply() -> None:
    """Create or update the work pool, the automations and the deployments on the server of the profile."""
    bypass_proxies()
    if get_current_settings().api.url:
        require_server(INSTEAD_OF_A_DEPLOYMENTS)
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(POOL)
        except ObjectNotFound:
            template = ProcessWorker.get_default_base_job_template()
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
    automations.apply()
    environment = os.environ | {"PWD": str(ROOT)}  # prefect.yaml lets runs begin there; only shells set it
    command = [*PREFECT, "--no-prompt", "deploy", "--all"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    print("applied  work pool, automations and deployments")


def stop() -> None:
    """End what `serve` started; runs in training save, and go on under their ids with the next `serve`."""
    bypass_proxies()
    api = server_url()
    limits: Any = {PREFECT_API_URL: api, PREFECT_CLIENT_MAX_RETRIES: 1, PREFECT_API_REQUEST_TIMEOUT: REQUEST_SECONDS}
    with temporary_settings(limits), get_client(sync_client=True) as client:
        Stop(ROOT, POOL, FOLDER).run(client, reachable=server_answers(api))


def server_url() -> str:
    """Return the URL of the API: the profile's, else that of the server that `serve` starts."""
    settings = get_current_settings()
    return settings.api.url or f"http://{settings.server.api.host}:{settings.server.api.port}/api"


def server_answers(api: str) -> bool:
    """Tell whether a server is up."""
    try:
        return httpx.get(f"{api}/health", timeout=5).is_success
    except httpx.HTTPError:
        return False


def _own_server(api: str, database: str | None, keep_days: int | None) -> None:
    settings = _chosen(database, keep_days)
    if not SERVER.is_running():
        require_database(settings.database)
        settings.write(SETTINGS)
    started = SERVER.start([*PREFECT, "server", "start"], settings.environment())
    deadline = time.monotonic() + START_SECONDS
    while not server_answers(api):
        if not SERVER.is_running() or time.monotonic() > deadline:
            sys.exit(f"error: {api}: the server did not start; see {SERVER.log}")
        time.sleep(0.5)
    print(f"server   {'started' if started else 'runs already'}, {settings}, log {SERVER.log}")


def _chosen(database: str | None, keep_days: int | None) -> ServerSettings:
    """Return the settings of the last time, changed by those named now; raise ConfigError if a server runs with others."""
    before = ServerSettings.read(SETTINGS)
    databases = (database, database_set_for_prefect(), before.database)
    chosen = ServerSettings(
        database=next(name for name in databases if name is not None),
        keep_days=before.keep_days if keep_days is None else keep_days,
    )
    if chosen != before and SERVER.is_running():
        raise ConfigError(
            f"{FOLDER}: found a server that runs with {before}, expected one with {chosen}. "
            f"Stop it first (unbroken stop), then it starts so"
        )
    return chosen
