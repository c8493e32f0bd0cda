"""What runs in each worker of a Ray Train job: one rank, in a process of its own, that ends when the worker or its raylet does."""

import secrets
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

from ray import get, train
from ray.train.collective import broadcast_from_rank_zero
from ray.util import get_node_ip_address

from unbroken.engines.messages import CLOSED, ERROR, OS_ERROR, RESULT, STARTED, Job
from unbroken.engines.process import Messages, end_rank, end_with_parent, ending, loopback_of, start_rank
from unbroken.storage.artifact import from_json

TELL, SILENCE = 0.5, 60.0
"""Seconds: between two reports, and without an answer after which the driver counts as gone."""


class Mailbox:
    """An actor beside the driver: what the ranks tell goes one way, the request to stop the other."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.stopping = False

    def tell(self, messages: list[dict[str, Any]]) -> bool:
        """Take up what a rank tells; return whether it is to stop."""
        self.messages += messages
        return self.stopping

    def take(self, *, stop: bool) -> list[dict[str, Any]]:
        """Return what was told since the last time, and ask the ranks to stop if so."""
        self.stopping |= stop
        taken, self.messages = self.messages, []
        return taken


def run_rank(settings: dict[str, Any]) -> None:
    """Run the rank of this worker to its end; an error that it told counts as one, so that Ray does not start it again.

    Args:
        settings: The job as JSON, the folder it is started in, and the mailbox.

    Raises:
        RuntimeError: The rank died, or lost another one; Ray starts all of them again.
    """
    job = from_json(Job, settings["job"], "job")
    mailbox, place, messages = settings["mailbox"], _place(), Messages()
    process = start_rank(job, place, messages, settings["folder"])
    end_with_parent(process)  # the raylet: this worker may outlive it by half a minute, while others are started
    told, stopping = False, False
    try:
        for batch in _batches(messages, place):
            told |= any(message["kind"] in (RESULT, ERROR, OS_ERROR) for message in batch)
            if get(mailbox.tell.remote(batch), timeout=SILENCE) and not stopping:
                stopping = True
                process.send_signal(signal.SIGTERM)
        code = process.wait()
    finally:
        end_rank(process)
    if not told and not stopping:
        raise RuntimeError(f"rank {place['RANK']} of {place['WORLD_SIZE']} {ending(code)}")


def _place() -> dict[str, str]:
    """Return the variables of this rank; all meet at the first, where each attempt has a port and a name of its own."""
    context = train.get_context()
    rank, size = context.get_world_rank(), context.get_world_size()
    host, port, attempt = broadcast_from_rank_zero(_meeting_point() if rank == 0 else None)
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(context.get_local_world_size()),
        "MASTER_ADDR": host,
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RESTART_COUNT": attempt,
        **loopback_of(host),
    }


def _meeting_point() -> tuple[str, int, str]:
    with socket.socket() as free:
        free.bind(("", 0))
        return get_node_ip_address(), free.getsockname()[1], secrets.token_hex(4)


def _batches(messages: Messages, place: dict[str, str]) -> Iterator[list[dict[str, Any]]]:
    """Yield what the rank tells, twice a second and also if that is nothing, until it has ended."""
    batch = [{"kind": STARTED, "size": int(place["WORLD_SIZE"])}] if place["RANK"] == "0" else []
    while True:
        yield batch
        time.sleep(TELL)
        batch = []
        while not messages.empty():
            message = messages.get()
            if message["kind"] == CLOSED:
                yield batch
                return
            batch.append(message)
