"""All that deployed flows need, on this machine or on an existing server: work pool, worker, healing, deployments."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.workers.process import ProcessWorker

from unbroken.deployment import automations
from unbroken.deployment.healing import loop
from unbroken.deployment.services import Service
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
HEALING = Service("healing", FOLDER)
POOL = "unbroken"
START_SECONDS = 120
STOP_SECONDS = 60
LEASES = {"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem"}
"""Kept in the server's memory, as by default, the slots of its runs would stay taken for ever once it died."""
PREFECT = [sys.executable, "-m", "prefect"]


def serve() -> None:
    """Start what is not running: the server, unless the profile names one, and a worker; then apply the rest."""
    bypass_proxies()
    if api := get_current_settings().api.url:
        require_server(INSTEAD_OF_A_DEPLOYMENTS)
    else:
        api = _own_server()
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = os.environ | {"PREFECT_API_URL": api, "PATH": programs}
    applied = subprocess.run([sys.executable, "-m", "deploy", "apply"], cwd=ROOT, env=environment, check=False)
    if applied.returncode:
        sys.exit(applied.returncode)  # it has said why
    started = WORKER.start([*PREFECT, "worker", "start", "--pool", POOL, "--type", "process"], environment)
    print(f"worker   {'started' if started else 'runs already'}, log {WORKER.log}")
    started = HEALING.start([sys.executable, "-m", "unbroken", "heal"], environment)
    print(f"healing  {'started' if started else 'runs already'}, log {HEALING.log}")
    shown = without_credentials(api)
    print(f"open     {without_credentials(get_current_settings().ui_url or api).removesuffix('/api')}")
    print(f"run      PREFECT_API_URL={shown} {PREFECT[0]} -m prefect deployment run train/by-hand --watch")


def apply() -> None:
    """Create or update the work pool and the deployments on the server of the profile."""
    bypass_proxies()
    if get_current_settings().api.url:
        require_server(INSTEAD_OF_A_DEPLOYMENTS)
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(POOL)
        except ObjectNotFound:
            template = ProcessWorker.get_default_base_job_template()
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
    automations.remove()
    environment = os.environ | {"PWD": str(ROOT)}  # prefect.yaml lets runs begin there; only shells set it
    command = [*PREFECT, "--no-prompt", "deploy", "--all"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    print("applied  work pool and deployments")


def heal() -> None:
    """Heal the runs of the server of the profile until stopped."""
    loop.heal(POOL, FOLDER)


def stop() -> None:
    """End worker and server; a run in training saves, and goes on once a worker is back."""
    for service in (HEALING, WORKER, SERVER):  # first, what would start a run again
        print(f"{service.name:8} {'stopped' if service.stop(STOP_SECONDS) else 'did not run'}")


def _own_server() -> str:
    settings = get_current_settings().server.api
    api = f"http://{settings.host}:{settings.port}/api"
    started = SERVER.start([*PREFECT, "server", "start"], os.environ | LEASES)
    deadline = time.monotonic() + START_SECONDS
    while not _answers(api):
        if not SERVER.is_running() or time.monotonic() > deadline:
            sys.exit(f"error: {api}: the server did not start; see {SERVER.log}")
        time.sleep(0.5)
    print(f"server   {'started' if started else 'runs already'}, log {SERVER.log}")
    return api


def _answers(api: str) -> bool:
    try:
        return httpx.get(f"{api}/health", timeout=5).is_success
    except httpx.HTTPError:
        return False
