"""Healing by looking: every few seconds, what is on the server is compared with what should be, and mended.

Nothing here waits for an event, and nothing is remembered that a new look would not find again: a healer that dies is
replaced by one that knows as much. Each act names the state that it answers, so that the server takes it once.
"""

import signal
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from uuid import UUID, uuid5

from filelock import FileLock, Timeout
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter
from prefect.client.schemas.objects import FlowRun, TaskRun, Worker, WorkerStatus
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_UI_URL
from prefect.states import Cancelled, Crashed

from unbroken.deployment.healing import surrender
from unbroken.deployment.healing.lease import Lease
from unbroken.deployment.healing.promotions import last_promotion, retrained, start_if_missing
from unbroken.deployment.healing.rules import (
    ACTIVE,
    TASK_ACTIVE,
    Act,
    Times,
    Watch,
    act_for,
    explain,
    is_orphan,
    mark_of,
)
from unbroken.errors import LockedError
from unbroken.orchestration.restart import GAVE_UP, LOST, TAG, propose, restart, tell
from unbroken.orchestration.server.reachability import INSTEAD_OF_A_DEPLOYMENTS, bypass_proxies, require_server

Item = TypeVar("Item")

PAGE = 200
OLDEST = timedelta(days=7)
"""How long ago a run may have crashed to be started again: what nobody missed for longer is not dug up."""

TELLING_PAUSE = 300.0
"""Seconds until a block that could not be told is told again."""


def heal(pool: str, folder: Path) -> NoReturn:
    """Heal the runs of the server of the profile until SIGTERM or Ctrl-C.

    Args:
        pool: The work pool whose dead workers are removed.
        folder: Holds the lock by which there is one healer of the project on this machine.

    Raises:
        LockedError: There is one.
    """
    times = Times.of()
    bypass_proxies()
    require_server(INSTEAD_OF_A_DEPLOYMENTS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _alone(folder), get_client(sync_client=True) as client:
        healer = Healer(client, times, Lease.of(folder, times.silence), pool)
        try:
            while True:
                healer.look()
                time.sleep(times.interval)
        finally:
            healer.lease.release(client)


@dataclass(slots=True)
class Healer:
    """What looks at the runs of a server, and mends them."""

    client: SyncPrefectClient
    times: Times
    lease: Lease
    pool: str
    clock: Callable[[], float] = time.monotonic
    watch: Watch = field(default_factory=Watch)
    answered: float = field(init=False)
    """When the server last answered all that a look asks."""
    holds: bool | None = None
    next_telling: dict[UUID, float] = field(default_factory=dict)
    """When people may next be told of a run, where that failed."""
    predicted: set[str] = field(default_factory=set)
    """The promotions that were seen to have their prediction."""

    def __post_init__(self) -> None:
        self.answered = self.clock()

    def look(self) -> None:
        """Look once, and do what is needed; what cannot be done now is done at a later look."""
        try:
            elapsed = self.clock() - self.answered
            if self._holds_lease(elapsed):
                self._look(elapsed)
            self.answered += elapsed
        except Exception as error:  # a healer that ends heals nothing
            say(f"cannot look: {error!r}")

    def _holds_lease(self, elapsed: float) -> bool:
        holds = self.lease.hold(self.client, elapsed)
        if holds != self.holds:
            say("healing the runs of this server" if holds else "another healer is at work; waiting for it to end")
            self.holds, self.watch = holds, Watch()
        return holds

    def _look(self, elapsed: float) -> None:
        runs, orphans, workers = self._runs(), self._orphans(), self._dead_workers()
        marks: dict[UUID, Any] = {run.id: mark_of(run) for run in runs}
        marks |= {task.id: (task.state_id, run.state_id, run.run_count) for task, run in orphans}
        marks |= {worker.id: worker.last_heartbeat_time for worker in workers}
        self.watch = self.watch.look(marks, elapsed, self.times)
        for run in runs:
            act = act_for(run, self.watch.silence(run.id), self.times)
            if act is not None:
                self._try(run.name, lambda run=run, act=act: self._mend(run, act))
        for task, run in orphans:
            if self.watch.silence(task.id) >= self.times.silence:
                self._try(task.name, lambda task=task, run=run: self._end(task, run))
        for worker in workers:
            if self.watch.silence(worker.id) >= self.times.silence:
                self._try(worker.name, lambda worker=worker: self._remove(worker))
        for run in surrender.untold(self.client, datetime.now(UTC) - OLDEST):
            self._try(run.name, lambda run=run: self._tell(run))
        for run in retrained(self.client, datetime.now(UTC)):
            self._try(run.name, lambda run=run: self._predict(run))

    def _try(self, name: str, act: Callable[[], str | None]) -> None:
        """Do one act; that it fails must not keep others from being done."""
        try:
            if said := act():
                say(f"{name}: {said}")
        except Exception as error:
            say(f"{name}: {error!r}; tried again at the next look")

    def _mend(self, run: FlowRun, act: Act) -> str | None:
        if act is Act.RESTART:
            restarted = restart(self.client, run.id)
            return f"{restarted.name}: {restarted.message}" if restarted else None
        reason = explain(run, self.times)
        state = Cancelled(message=reason) if act is Act.CANCEL else Crashed(name=LOST, message=reason)
        assert run.state_id is not None  # it is in a state that it is watched in
        if not propose(self.client, run.id, state, transition=uuid5(run.state_id, act.name)):
            return None
        tell(self.client, run.id, f"{state.name}: {reason}")
        return f"{state.name}: {reason}"

    def _end(self, task: TaskRun, run: FlowRun) -> str:
        message = "its attempt has ended, and nobody reported what became of this task"
        self.client.set_task_run_state(task.id, Crashed(message=message), force=True)
        tell(self.client, run.id, f"{task.name}: Crashed: {message}")
        return f"Crashed: {message}"

    def _remove(self, worker: Worker) -> str:
        path = {"work_pool_name": self.pool, "name": worker.name}
        self.client.request("DELETE", "/work_pools/{work_pool_name}/workers/{name}", path_params=path)
        return f"no sign of life since {worker.last_heartbeat_time}: removed from the pool {self.pool}"

    def _tell(self, run: FlowRun) -> str | None:
        now = self.clock()
        if now < self.next_telling.get(run.id, now):
            return None
        self.next_telling[run.id] = now + TELLING_PAUSE
        return surrender.tell(self.client, run, f"{PREFECT_UI_URL.value()}/runs/flow-run/{run.id}")

    def _predict(self, run: FlowRun) -> str | None:
        promotion = last_promotion(run.parameters)
        if promotion is None or promotion.key in self.predicted or run.work_pool_name is None:
            return None
        if datetime.now(UTC) - promotion.time < timedelta(seconds=self.times.silence):
            return None  # its event is on its way
        started = start_if_missing(self.client, promotion, run.work_pool_name)
        self.predicted.add(promotion.key)
        if started is None:
            return None
        message = f"nothing has scored {promotion.source} with the new champion: started {started.name}"
        tell(self.client, run.id, message)
        return message

    def _runs(self) -> list[FlowRun]:
        """Return the flow runs that should have a process, and those that ended without being asked to."""
        crashed = {
            "state": {"type": {"any_": ["CRASHED"]}, "name": {"not_any_": [GAVE_UP]}},
            "tags": {"all_": [TAG]},
            "deployment_id": {"is_null_": False},
            "end_time": {"after_": datetime.now(UTC) - OLDEST},
        }
        active = {"state": {"type": {"any_": ACTIVE}}}
        return [run for choice in (active, crashed) for run in self._flow_runs(choice)]

    def _orphans(self) -> list[tuple[TaskRun, FlowRun]]:
        """Return the task runs that should be at work, but belong to an attempt that has ended, each with its flow run."""
        choice = TaskRunFilter.model_validate({"state": {"type": {"any_": TASK_ACTIVE}}})
        tasks = list(
            _pages(lambda offset: self.client.read_task_runs(task_run_filter=choice, limit=PAGE, offset=offset))
        )
        ids = sorted({task.flow_run_id for task in tasks if task.flow_run_id is not None})
        pages = [ids[start : start + PAGE] for start in range(0, len(ids), PAGE)]
        runs = {run.id: run for page in pages for run in self._flow_runs({"id": {"any_": page}})}
        pairs = [(task, runs.get(task.flow_run_id)) for task in tasks if task.flow_run_id is not None]
        return [(task, run) for task, run in pairs if run is not None and is_orphan(task, run)]

    def _dead_workers(self) -> list[Worker]:
        try:
            workers = self.client.read_workers_for_work_pool(self.pool, offset=0, limit=PAGE)
        except ObjectNotFound:
            return []
        return [worker for worker in workers if worker.status == WorkerStatus.OFFLINE]

    def _flow_runs(self, choice: dict[str, Any]) -> Iterator[FlowRun]:
        chosen = FlowRunFilter.model_validate(choice)
        return _pages(lambda offset: self.client.read_flow_runs(flow_run_filter=chosen, limit=PAGE, offset=offset))


def say(message: str) -> None:
    """Write a line into the log of the healer."""
    print(f"{datetime.now(UTC).isoformat(timespec='seconds')} {message}", flush=True)


def _pages(read: Callable[[int], list[Item]]) -> Iterator[Item]:
    """Yield all that a server returns page by page."""
    offset = 0
    while page := read(offset):
        yield from page
        offset += len(page)
        if len(page) < PAGE:
            return


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(folder / "healing.lock", mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LockedError(
            f"{lock.lock_file}: another process heals runs from this folder; one is enough. `unbroken serve` starts it, "
            f"`unbroken stop` ends it"
        ) from None
    try:
        yield
    finally:
        lock.release()
