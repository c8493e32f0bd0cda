"""Let a training answer its supervisor, which would otherwise kill it before it can save.

A supervisor that is to stop a run first tells the engine, and kills one that does not acknowledge within a second. Prefect
acknowledges only where its own handler of SIGTERM is in place, which raises wherever the program is; a training replaces it,
since it saves at the end of its step.
"""

import signal
from collections.abc import Callable
from typing import Any

from prefect import Flow
from prefect._internal import control_listener
from prefect.client.schemas.objects import FlowRun
from prefect.states import State
from prefect.utilities.engine import commit_control_intent_and_ack

from unbroken.training.signals import StopRequest


def acknowledge_in_training(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:  # noqa: ARG001 (the names are the interface)
    """Let the process of a flow run acknowledge that it is to stop while it trains, too."""
    control_listener.commit_control_intent_and_ack = acknowledge  # ty: ignore[invalid-assignment]


def acknowledge(
    commit_intent: Callable[[], None],
    clear_intent: Callable[[], None],
    send_ack: Callable[[], None],
    trigger_cancel: Callable[[], None] | None = None,
) -> bool:
    """Take over and acknowledge what the supervisor is about to do, and tell whether that was possible."""
    if not isinstance(getattr(signal.getsignal(signal.SIGTERM), "__self__", None), StopRequest):
        return commit_control_intent_and_ack(commit_intent, clear_intent, send_ack, trigger_cancel)
    commit_intent()
    try:
        send_ack()
    except OSError:  # the supervisor is gone
        clear_intent()
        return False
    return True
