"""End what `serve` started: runs in training save and go on later, nothing is left, and nothing counts as a crash."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)
from prefect.states import AwaitingRetry

from unbroken.deployment.pause import is_shared, pause
from unbroken.deployment.processes import RunProcess, run_processes
from unbroken.deployment.serve import FOLDER, PAUSE, POOL, ROOT, SERVER, WORKER, server_answers, server_url
from unbroken.deployment.services import POLL_SECONDS, Service
from unbroken.orchestration.reachability import bypass_proxies

SAVE_SECONDS = 40
"""How long runs may take to save and end; a supervisor ends its engine after 30 s by itself."""

SERVICE_SECONDS = 10
"""How long worker and server may take, which have nothing left to do."""

REQUEST_SECONDS = 10.0
MESSAGE = "stopped with its worker; goes on from its newest checkpoint with the next serve"


def stop() -> None:
    """End runs, worker and server of this folder; the runs save, and go on under their ids with the next `serve`."""
    bypass_proxies()
    api = server_url()
    worker_ran = WORKER.is_running()
    limits: Any = {PREFECT_API_URL: api, PREFECT_CLIENT_MAX_RETRIES: 1, PREFECT_API_REQUEST_TIMEOUT: REQUEST_SECONDS}
    with temporary_settings(limits), get_client(sync_client=True) as client:
        orderly = server_answers(api) and _pause(client)
        runs = _end_runs(orderly)
        WORKER.stop(SERVICE_SECONDS)
        runs |= _kill(run_processes(ROOT))
        if orderly:
            _let_wait(client, runs)
    print(f"worker   {_ended(worker_ran)}")
    for service in [*Service.others(FOLDER, WORKER, SERVER), SERVER]:
        print(f"{service.name:8} {_ended(service.stop(SERVICE_SECONDS))}")


def _pause(client: SyncPrefectClient) -> bool:
    """Let no worker start the runs again that are about to end; return False if the server cannot be told anything."""
    try:
        if SERVER.is_running() or (WORKER.is_running() and not is_shared(client, POOL)):
            pause(client, POOL, PAUSE)
    except httpx.HTTPError as error:
        print(
            f"server   cannot be told to pause the work pool ({type(error).__name__}): runs save, and count as crashed"
        )
        return False
    return True


def _end_runs(orderly: bool) -> set[str]:
    """Ask the runs to save and end, wait for it, and return their ids; what is left after SAVE_SECONDS is killed.

    A supervisor first tells the server that its run goes on later; without a server the engines are asked themselves.
    """
    deadline = time.monotonic() + SAVE_SECONDS
    runs: set[str] = set()
    asked: set[int] = set()
    while processes := run_processes(ROOT):
        runs |= {process.run for process in processes}
        if time.monotonic() > deadline:
            WORKER.stop(0)  # first, or it would report what is killed next as crashed
            _kill(processes)
            break
        for process in processes:
            # One that has only begun is asked a little later: it would die of the signal.
            if process.is_supervisor is orderly and process.number not in asked and process.catches_sigterm():
                asked.add(process.number)
                _send(process, signal.SIGTERM)
        time.sleep(POLL_SECONDS)
    return runs


def _kill(processes: Iterable[RunProcess]) -> set[str]:
    """Kill processes, say of which runs they are, and return those."""
    processes = list(processes)
    for process in processes:
        _send(process, signal.SIGKILL)
    runs = {process.run for process in processes}
    for run in sorted(runs):
        print(
            f"run      {run}: did not save and end within {SAVE_SECONDS} s, killed; it goes on from its newest checkpoint"
        )
    return runs


def _let_wait(client: SyncPrefectClient, runs: set[str]) -> None:
    """Let runs wait for the next `serve` that nobody works on any more and whose supervisor could not tell the server."""
    try:
        for run in _unattended(client, runs):
            client.set_flow_run_state(run.id, AwaitingRetry(message=MESSAGE), force=True)
    except httpx.HTTPError as error:
        print(
            f"server   cannot be told of the runs ({type(error).__name__}): the next serve finds them by their silence"
        )
    if runs:
        print(f"runs     {len(runs)} ended; what was not finished goes on with the next serve")


def _unattended(client: SyncPrefectClient, runs: set[str]) -> list[FlowRun]:
    """Return which of the runs are still called running, and those that a worker of this server had only begun to start."""
    begun, running = FlowRunFilterStateType(any_=[StateType.PENDING]), FlowRunFilterStateType(any_=[StateType.RUNNING])
    ids = FlowRunFilterId(any_=[UUID(run) for run in runs])
    unattended = client.read_flow_runs(flow_run_filter=FlowRunFilter(id=ids, state=FlowRunFilterState(type=running)))
    if SERVER.is_running():
        unattended += client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=begun)),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL])),
        )
    return unattended


def _send(process: RunProcess, number: int) -> None:
    with suppress(ProcessLookupError):  # it ended meanwhile
        os.kill(process.number, number)


def _ended(was_running: bool) -> str:
    return "stopped" if was_running else "did not run"
