"""What happens to a deployed run whose process died: it is started again under its own id, a bounded number of times."""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.events import emit_event
from prefect.runtime import flow_run as runtime
from prefect.states import AwaitingRetry, Crashed, State

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

TAG = "auto-resume"
"""Runs with this tag are started again; without it Prefect leaves them as they ended."""

RESTARTS = 10
"""How often one run is started again, unless its job variable `env` sets UNBROKEN_RESTARTS."""

LONGEST_WAIT = timedelta(minutes=5)

GAVE_UP = "GaveUp"
"""Name of the last state of a run that died too often; its type is Crashed."""


def start_again(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:  # noqa: ARG001 (the names are the interface)
    """Schedule a crashed run once more after 2, 4, 8 ... seconds, or end it for good if it died too often.

    It looks the run up again first: whoever came before decides, so that two reports of one death start one attempt.
    """
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run.id)
        crashed = run.state is not None and run.state.is_crashed() and run.state.name != GAVE_UP
        if not crashed or run.deployment_id is None or TAG not in run.tags:
            return
        deaths = deaths_of(client.read_flow_run_states(run.id))
        allowed = _restarts(client, run)
        chosen = next_attempt(deaths, allowed) if deaths <= allowed else given_up(deaths, allowed, run.state)
        client.set_flow_run_state(run.id, chosen, force=chosen.is_crashed())


def deaths_of(states: Sequence[State]) -> int:
    """Count the attempts of a run that crashed since it was last given up; engine, supervisor and worker may each report one."""
    deaths, reported = 0, False
    for state in sorted(states, key=lambda state: state.timestamp):
        if state.name == GAVE_UP:
            deaths = 0
        elif state.is_crashed():
            deaths += not reported
        reported = state.is_crashed() or (reported and not state.is_pending())
    return deaths


def next_attempt(deaths: int, allowed: int) -> State:
    """Return the state that starts a run again, later the more often it died."""
    wait = min(timedelta(seconds=2**deaths), LONGEST_WAIT)
    message = f"crashed {deaths} of at most {allowed + 1} times; goes on from its newest checkpoint"
    return AwaitingRetry(scheduled_time=datetime.now(UTC) + wait, message=message)


def given_up(deaths: int, allowed: int, last: State | None) -> State:
    """Return the end of a run that died too often."""
    reason = (last and last.message) or "no reason was given"
    message = (
        f"crashed {deaths} times, which is more than the {allowed} restarts that UNBROKEN_RESTARTS allows. "
        f"The last time: {reason} Its checkpoints are kept: mend the cause, then retry the run to go on from them"
    )
    return Crashed(name=GAVE_UP, message=message)


def end_with_supervisor(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:  # noqa: ARG001 (as above)
    """Let a deployed run save and end when its supervisor dies, without which no cancellation could reach it."""
    if os.environ.get("PREFECT__FLOW_RUN_ID") == str(flow_run.id):
        threading.Thread(target=_end_after, args=(os.getppid(),), name="supervisor-watch", daemon=True).start()


def emitting_left_event(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let a flow tell the server when it ends on its own accord, as a suspended run does: silence then means death alone."""

    @wraps(function)
    def told(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        finally:
            # The context adds the tags, by which the automations know the run.
            emit_event("prefect.flow-run.left", {"prefect.resource.id": f"prefect.flow-run.{runtime.id}"})

    return told


def _end_after(supervisor: int) -> None:
    while os.getppid() == supervisor:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _restarts(client: SyncPrefectClient, run: FlowRun) -> int:
    assert run.deployment_id is not None
    variables = client.read_deployment(run.deployment_id).job_variables | (run.job_variables or {})
    return int(variables.get("env", {}).get("UNBROKEN_RESTARTS", RESTARTS))
