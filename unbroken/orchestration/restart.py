"""Restart deployed flow runs that crashed, under the same id and a bounded number of times."""

import logging
import os
import re
import signal
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import LogCreate
from prefect.client.schemas.objects import FlowRun
from prefect.states import AwaitingRetry, Crashed, State, to_state_create

if TYPE_CHECKING:
    from unbroken.config import Config
    from unbroken.data.dataset import SplitDatasets
    from unbroken.run import Run
    from unbroken.training.hooks import TrainHook

TAG = "auto-resume"
"""Deployed runs with this tag give signs of life and are started again; without it Prefect leaves them as they ended."""

RESTARTS = "UNBROKEN_RESTARTS"
PREEMPTIONS = "UNBROKEN_PREEMPTIONS"

LONGEST_WAIT = timedelta(minutes=5)

GAVE_UP = "GaveUp"
"""Name of the last state of a run that ended too often; its type is Crashed."""

LOST = "Lost"
"""Name of the state of a run whose processes are gone, so that no one could report its end; its type is Crashed."""

TAKEN_AWAY = re.compile(
    r"Execution was aborted by (a termination|an interrupt) signal"
    r"|Process exited with status code: (-2|-15|130|143)\b"
    # A worker reports the end of a supervisor; the end of an engine is reported by its supervisor.
    r"|infrastructure exited with non-zero status code (-2|-9|-15|130|137|143)\b"
)
"""What Prefect says of a process that someone ended from outside."""


class Cause(Enum):
    """Why an attempt ended before its time."""

    CRASH = "crashed"
    PREEMPTION = "was taken away"


@dataclass(frozen=True)
class Budget:
    """How often one run is started again after a crash, and after a preemption: its machine or processes were taken away."""

    restarts: int = 10
    preemptions: int = 100

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> "Budget":
        """Return what the job variable `env` of a run sets."""
        return cls(int(variables.get(RESTARTS, cls.restarts)), int(variables.get(PREEMPTIONS, cls.preemptions)))


def restart_after_crash(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:  # noqa: ARG001 (the names are the interface)
    """Restart a flow run whose process reports its crash."""
    with get_client(sync_client=True) as client:
        restart(client, flow_run.id)


def restart(client: SyncPrefectClient, run_id: UUID) -> State | None:
    """Schedule a crashed run once more, or end it for good if it ended too often; return its new state, if it has one.

    The run is read again first, and the server takes one answer to one crash: whoever asks, one attempt starts.
    """
    run = client.read_flow_run(run_id)
    last = run.state
    if (
        last is None
        or not last.is_crashed()
        or last.name == GAVE_UP
        or run.deployment_id is None
        or TAG not in run.tags
    ):
        return None
    causes = causes_of(client.read_flow_run_states(run.id))
    state = next_state(causes, _budget(client, run), last, datetime.now(UTC))
    if not propose(client, run.id, state, transition=uuid5(last.id, "restart")):
        return None
    tell(client, run.id, f"{state.name}: {state.message}")
    return state


def causes_of(states: Sequence[State]) -> list[Cause]:
    """Return why each attempt of a run ended since it was last given up; engine, supervisor and worker may each report one.

    An attempt was taken away if any report says so: a supervisor and an engine that were killed are first told of in the same
    words, but the engine of a killed supervisor is then ended by a signal, and the worker tells of the supervisor.
    """
    causes: list[Cause] = []
    reported = given_up = False
    for state in sorted(states, key=lambda state: state.timestamp):
        if (
            state.is_pending() and given_up
        ):  # a person retries it; until then, reports that come late are of what was given up
            causes.clear()
            given_up = False
        given_up = given_up or state.name == GAVE_UP
        if state.is_crashed() and not given_up:
            if not reported:
                causes.append(Cause.CRASH)
            if state.name == LOST or TAKEN_AWAY.search(state.message or ""):
                causes[-1] = Cause.PREEMPTION
        reported = state.is_crashed() or (reported and not state.is_pending())
    return causes


def next_state(causes: Sequence[Cause], budget: Budget, last: State, now: datetime) -> State:
    """Return what becomes of a run that crashed: it waits longer the more often it did, until it is given up.

    Args:
        causes: Why each attempt ended, the last one last; at least one.
        budget: How often it may be started again.
        last: Its present state.
        now: The present time.
    """
    cause = causes[-1]
    times = causes.count(cause)
    limit, setting = (budget.restarts, RESTARTS) if cause is Cause.CRASH else (budget.preemptions, PREEMPTIONS)
    if times > limit:
        reason = last.message or "no reason was given"
        message = (
            f"{cause.value} {times} times, which is more than the {limit} restarts that {setting} allows. "
            f"The last time: {reason} Its checkpoints are kept: mend the cause, then retry the run to go on from them"
        )
        return Crashed(name=GAVE_UP, message=message)
    wait = min(timedelta(seconds=2 ** max(1, causes.count(Cause.CRASH))), LONGEST_WAIT)
    message = f"{cause.value} {times} of at most {limit + 1} times; goes on from its newest checkpoint"
    return AwaitingRetry(scheduled_time=now + wait, message=message)


def propose(client: SyncPrefectClient, run_id: UUID, state: State, transition: UUID) -> bool:
    """Set the state of a flow run, whatever it ended in, and tell whether the server took it.

    Args:
        client: The server.
        run_id: The flow run.
        state: The state to set.
        transition: Names the act: the server takes one of a name, by whomever, right after another state.
    """
    proposed = to_state_create(state)
    proposed.state_details.flow_run_id = run_id
    proposed.state_details.transition_id = transition
    # A run that is given up goes from one final state to another, which the rules do not let.
    body = {"state": proposed.model_dump(mode="json"), "force": state.name == GAVE_UP}
    answer = client.request("POST", "/flow_runs/{id}/set_state", path_params={"id": run_id}, json=body)
    return answer.json()["status"] == "ACCEPT"


def tell(client: SyncPrefectClient, run_id: UUID, message: str) -> None:
    """Write a line into the log of a flow run, where its page shows it."""
    now = datetime.now(UTC)
    line = LogCreate(name="unbroken.healing", level=logging.WARNING, message=message, timestamp=now, flow_run_id=run_id)
    client.create_logs([line])


def deployed_run() -> UUID | None:
    """Return the flow run that this process was started for by a worker; None at a terminal."""
    run = os.environ.get("PREFECT__FLOW_RUN_ID")
    return UUID(run) if run else None


@contextmanager
def watch_crashes(config: "Config", splits: "SplitDatasets", run: "Run") -> "Generator[list[TrainHook]]":
    """Yield what stops a deployed training that crashes again and again at one step; nothing where a person starts it."""
    flow_run = deployed_run()
    if flow_run is None:
        yield []
        return
    from unbroken.stages.repeated_crash import stopping_at_repeated_crash  # noqa: PLC0415 (torch, which healing does without)

    with stopping_at_repeated_crash(config, splits, run, lambda attempts: _crashed(flow_run, attempts)) as hook:
        yield [hook]


def _crashed(run_id: UUID, attempts: int) -> bool:
    """Tell whether the last so many attempts of a flow run crashed, none of them taken away."""
    with get_client(sync_client=True) as client:
        causes = causes_of(client.read_flow_run_states(run_id))
    return causes[-attempts:] == [Cause.CRASH] * attempts


def stop_with_supervisor(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:  # noqa: ARG001 (as above)
    """Let a deployed run save and end when its supervisor dies, without which no cancellation could reach it."""
    if deployed_run() == flow_run.id:
        threading.Thread(target=_stop_after, args=(os.getppid(),), name="supervisor-watch", daemon=True).start()


def _stop_after(supervisor: int) -> None:
    while os.getppid() == supervisor:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _budget(client: SyncPrefectClient, run: FlowRun) -> Budget:
    assert run.deployment_id is not None
    variables = client.read_deployment(run.deployment_id).job_variables, run.job_variables or {}
    return Budget.of({name: value for part in variables for name, value in part.get("env", {}).items()})
