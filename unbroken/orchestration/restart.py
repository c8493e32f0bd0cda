"""Restart deployed flow runs that crashed, under the same id and a bounded number of times."""

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
"""Name of the last state of a run that crashed too often; its type is Crashed."""


def restart_after_crash(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:  # noqa: ARG001 (the names are the interface)
    """Schedule a crashed run once more after 2, 4, 8 ... seconds, or end it for good if it crashed too often.

    It reads the run again first: whoever came before decides, so that two reports of one crash start one attempt.
    """
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run.id)
        crashed = run.state is not None and run.state.is_crashed() and run.state.name != GAVE_UP
        if not crashed or run.deployment_id is None or TAG not in run.tags:
            return
        crashes = count_crashes(client.read_flow_run_states(run.id))
        limit = _restart_limit(client, run)
        next_state = retry_state(crashes, limit) if crashes <= limit else gave_up_state(crashes, limit, run.state)
        client.set_flow_run_state(run.id, next_state, force=next_state.is_crashed())


def count_crashes(states: Sequence[State]) -> int:
    """Count the attempts of a run that crashed since it was last given up; engine, supervisor and worker may each report one."""
    crashes, reported = 0, False
    for state in sorted(states, key=lambda state: state.timestamp):
        if state.name == GAVE_UP:
            crashes = 0
        elif state.is_crashed():
            crashes += not reported
        reported = state.is_crashed() or (reported and not state.is_pending())
    return crashes


def retry_state(crashes: int, limit: int) -> State:
    """Return the state that starts a run again, later the more often it crashed."""
    wait = min(timedelta(seconds=2**crashes), LONGEST_WAIT)
    message = f"crashed {crashes} of at most {limit + 1} times; goes on from its newest checkpoint"
    return AwaitingRetry(scheduled_time=datetime.now(UTC) + wait, message=message)


def gave_up_state(crashes: int, limit: int, last: State | None) -> State:
    """Return the last state of a run that crashed more often than it may be restarted; `last` is its state before."""
    reason = (last and last.message) or "no reason was given"
    message = (
        f"crashed {crashes} times, which is more than the {limit} restarts that UNBROKEN_RESTARTS allows. "
        f"The last time: {reason} Its checkpoints are kept: mend the cause, then retry the run to go on from them"
    )
    return Crashed(name=GAVE_UP, message=message)


def stop_with_supervisor(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:  # noqa: ARG001 (as above)
    """Let a deployed run save and end when its supervisor dies, without which no cancellation could reach it."""
    if os.environ.get("PREFECT__FLOW_RUN_ID") == str(flow_run.id):
        threading.Thread(target=_stop_after, args=(os.getppid(),), name="supervisor-watch", daemon=True).start()


def with_end_event(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let a flow send an event when it ends by itself, as a suspended run does: silence then means a crash alone."""

    @wraps(function)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        finally:
            # The context adds the tags, by which the automations know the run.
            emit_event("prefect.flow-run.left", {"prefect.resource.id": f"prefect.flow-run.{runtime.id}"})

    return wrapper


def _stop_after(supervisor: int) -> None:
    while os.getppid() == supervisor:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _restart_limit(client: SyncPrefectClient, run: FlowRun) -> int:
    assert run.deployment_id is not None
    variables = client.read_deployment(run.deployment_id).job_variables | (run.job_variables or {})
    return int(variables.get("env", {}).get("UNBROKEN_RESTARTS", RESTARTS))
