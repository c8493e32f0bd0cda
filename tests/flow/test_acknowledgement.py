"""A training acknowledges its supervisor's word: these names and bytes of Prefect's are private, and may change."""

import signal
import socket
from collections.abc import Generator

import pytest
from prefect._internal import control_listener
from prefect._internal.attempt_control import BYTE_FOR_INTENT, Intent

from unbroken.orchestration.acknowledgement import acknowledge
from unbroken.training.signals import StopRequest


@pytest.fixture(autouse=True)
def fresh_session(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Let each test find the listener as a new process has it, and leave it so."""
    monkeypatch.setattr(control_listener, "commit_control_intent_and_ack", acknowledge)
    monkeypatch.setattr(control_listener, "_terminal_claimed", False)
    control_listener.clear_intent()
    yield
    control_listener.clear_intent()


def answer_to(intent: bytes) -> bytes:
    """Return what the engine's listener answers to a byte of its supervisor."""
    supervisor, engine = socket.socketpair()
    with supervisor, engine:
        control_listener._handle_intent_byte(engine, intent)
        supervisor.setblocking(False)
        try:
            return supervisor.recv(1)
        except BlockingIOError:
            return b""


@pytest.mark.parametrize("intent", ["cancel", "reschedule"])
def test_a_training_acknowledges_that_it_is_to_stop(intent: Intent):
    with StopRequest():
        assert answer_to(BYTE_FOR_INTENT[intent]) == b"a"

    assert control_listener.get_intent() == intent


def test_a_process_that_would_die_of_the_signal_acknowledges_nothing():
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    assert answer_to(BYTE_FOR_INTENT["reschedule"]) == b""
    assert control_listener.get_intent() is None
