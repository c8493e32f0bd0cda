"""End what `serve` started: runs in training save and go on later, nothing is left, and nothing counts as a crash."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import AwaitingRetry

from unbroken.deployment.pause import is_shared, pause, paused_by_stop
from unbroken.deployment.processes import RunProcess, run_processes
from unbroken.deployment.services import POLL_SECONDS, Service

SAVE_SECONDS = 40
"""How long runs may take to save and end; a supervisor ends its engine after 30 s by itself."""

SERVICE_SECONDS = 10
"""How long worker and server may take, which have nothing left to do."""

MESSAGE = "stopped with its worker; goes on from its newest checkpoint with the next serve"


@dataclass(frozen=True)
class Stop:
    """What there is to stop: the project in a folder, with its work pool and the services that `serve` started for it."""

    project: Path
    pool: str
    services: Path
    """The folder with what is known of the services; `paused` in it says that a pause of the pool is ours."""

    def run(self, client: SyncPrefectClient, *, reachable: bool) -> None:
        """End runs, worker and server; the runs save, and go on under their ids with the next `serve`.

        Args:
            client: A client of the server.
            reachable: Whether the server answers.
        """
        worker_ran = self.worker.is_running()
        for service in Service.others(self.services, self.worker, self.server):  # first, what would start a run again
            print(f"{service.name:8} {_ended(service.stop(SERVICE_SECONDS))}")
        orderly = reachable and self._pause(client)
        runs = self._end_runs(orderly)
        self.worker.stop(SERVICE_SECONDS)
        runs |= _kill(run_processes(self.project))
        if orderly:
            self._let_wait(client, runs)
        print(f"worker   {_ended(worker_ran)}")
        print(f"server   {_ended(self.server.stop(SERVICE_SECONDS))}")

    @property
    def worker(self) -> Service:
        """The worker of the project."""
        return Service("worker", self.services)

    @property
    def server(self) -> Service:
        """The server, if it is the project's own."""
        return Service("server", self.services)

    def _pause(self, client: SyncPrefectClient) -> bool:
        """Let no worker start the runs again that are about to end; return False if the server cannot be told anything."""
        try:
            if self.server.is_running() or (self.worker.is_running() and not is_shared(client, self.pool)):
                pause(client, self.pool, paused_by_stop(self.services))
        except httpx.HTTPError as error:
            print(f"server   cannot be told of the stop ({type(error).__name__}): runs save, but count as crashed")
            return False
        return True

    def _end_runs(self, orderly: bool) -> set[str]:
        """Ask the runs to save and end, wait for it, and return their ids; what is left after SAVE_SECONDS is killed.

        A supervisor first tells the server that its run goes on later; without a server the engines are asked themselves.
        """
        deadline = time.monotonic() + SAVE_SECONDS
        runs: set[str] = set()
        asked: set[int] = set()
        while processes := run_processes(self.project):
            runs |= {process.run for process in processes}
            if time.monotonic() > deadline:
                self.worker.stop(0)  # first, or it would report what is killed next as crashed
                _kill(processes)
                break
            for process in processes:
                # One that has only begun is asked a little later: it would die of the signal.
                if process.is_supervisor is orderly and process.number not in asked and process.catches_sigterm():
                    asked.add(process.number)
                    _send(process, signal.SIGTERM)
            time.sleep(POLL_SECONDS)
        return runs

    def _let_wait(self, client: SyncPrefectClient, runs: set[str]) -> None:
        """Let runs wait for the next `serve` that nobody works on any more and whose supervisor could not tell the server."""
        try:
            for run in self._unattended(client, runs):
                client.set_flow_run_state(run.id, AwaitingRetry(message=MESSAGE), force=True)
        except httpx.HTTPError as error:
            print(f"server   cannot be told of the runs ({type(error).__name__}): they are found by their silence")
        if runs:
            print(f"runs     {len(runs)} ended; what was not finished goes on with the next serve")

    def _unattended(self, client: SyncPrefectClient, runs: set[str]) -> list[FlowRun]:
        """Return which of the runs are still called running, and those that a worker of this server had only begun to start."""
        ids = FlowRunFilterId(any_=[UUID(run) for run in runs])
        unattended = client.read_flow_runs(flow_run_filter=FlowRunFilter(id=ids, state=_any_of(StateType.RUNNING)))
        if self.server.is_running():
            unattended += client.read_flow_runs(
                flow_run_filter=FlowRunFilter(state=_any_of(StateType.PENDING)),
                work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[self.pool])),
            )
        return unattended


def _kill(processes: Iterable[RunProcess]) -> set[str]:
    """Kill processes, say of which runs they are, and return those."""
    processes = list(processes)
    for process in processes:
        _send(process, signal.SIGKILL)
    runs = {process.run for process in processes}
    for run in sorted(runs):
        print(f"run      {run}: did not end in time and was killed; it goes on from its newest checkpoint")
    return runs


def _any_of(*types: StateType) -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))


def _send(process: RunProcess, number: int) -> None:
    with suppress(ProcessLookupError):  # it ended meanwhile
        os.kill(process.number, number)


def _ended(was_running: bool) -> str:
    return "stopped" if was_running else "did not run"
