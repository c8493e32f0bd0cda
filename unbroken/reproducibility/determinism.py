"""What the bits depend on in this process, fixed while a block runs.

Torch keeps its mode and its generator once a process. So one training at a time has a process: with two in its threads, each
would get what the other set, and draw from between its draws.
"""

import logging
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch

from unbroken.errors import LockedError
from unbroken.reproducibility.seclusion import drawing_alone

log = logging.getLogger(__name__)

deterministic: Any = torch.utils.deterministic  # its one attribute is made at import, so no checker sees it

POLL_SECONDS = 0.1


class _Process:
    """Who has the generators of this process: a training, or for a moment a model that is being built."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.trainer: int | None = None
        """The thread of the training that has them."""
        self.settings = threading.Lock()
        """Held while torch's number of threads for new threads is another for a moment."""


PROCESS = _Process()
os.register_at_fork(after_in_child=lambda: vars(PROCESS).update(vars(_Process())))  # its holder is not in the child


@contextmanager
def reproducible(threads: int, *, wait: bool = True) -> Generator[None]:
    """Fix what the bits depend on, alone in this process, and put it back afterwards, the random generators too.

    Args:
        threads: How many torch computes with.
        wait: Whether to wait until a training in another thread of this process has ended.

    Raises:
        LockedError: A training runs in another thread and is not to be waited for, or in this one, which can have no second.
    """
    if threading.get_ident() == PROCESS.trainer:
        raise LockedError(
            "training: found one inside another, in the same thread of this process; they would draw from the same random "
            "generators. Begin the second after the first, or in a process of its own"
        )
    _acquire(wait=wait)
    PROCESS.trainer = threading.get_ident()
    try:
        with _generators_kept(), _settings(threads):
            yield
    finally:
        PROCESS.trainer = None
        PROCESS.lock.release()


@contextmanager
def building(subject: str) -> Generator[None]:
    """Let a model be built that may draw at random, and put the generators back; raise LockedError while a training draws.

    Args:
        subject: What needs the model, for the message.
    """
    if threading.get_ident() == PROCESS.trainer:
        with _generators_kept():
            yield
        return
    while not PROCESS.lock.acquire(timeout=POLL_SECONDS):
        if PROCESS.trainer is not None:
            raise LockedError(
                f"{subject}: another thread of this process is training, and building the model could draw from the random "
                f"generators that the training draws from. Load it before the training or after, or in a process of its own"
            )
    try:
        with _generators_kept():
            yield
    finally:
        PROCESS.lock.release()


def _acquire(*, wait: bool) -> None:
    warned = False
    while not PROCESS.lock.acquire(timeout=POLL_SECONDS):
        if PROCESS.trainer is None or warned:
            continue
        if not wait:
            raise LockedError(
                "training: another thread of this process is training, and two would draw from the same random generators; "
                "wait for it to end, set checkpoint.wait, or train in a process of its own"
            )
        log.warning("another thread of this process is training; waiting for it to end")
        warned = True


@contextmanager
def _generators_kept() -> Generator[None]:
    """Put torch's generators back to where they were; Python's and NumPy's are this thread's alone until then."""
    kept = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    try:
        with drawing_alone():
            yield
    finally:
        torch.set_rng_state(kept)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


@contextmanager
def _settings(threads: int) -> Generator[None]:
    previous = torch.get_num_threads(), torch.get_deterministic_debug_mode(), _flushes_denormals()
    filling = deterministic.fill_uninitialized_memory
    with PROCESS.settings:
        torch.set_num_threads(threads)
    # As torch.use_deterministic_algorithms, which also imports torch's compiler, more than a second of CPU.
    torch.set_deterministic_debug_mode("error")
    deterministic.fill_uninitialized_memory = False  # costs time, and nothing reads such memory
    flush_denormals(threads)
    try:
        yield
    finally:
        with PROCESS.settings:
            torch.set_num_threads(previous[0])
        torch.set_deterministic_debug_mode(previous[1])
        deterministic.fill_uninitialized_memory = filling
        torch.set_flush_denormal(previous[2])


def flush_denormals(threads: int) -> None:
    """Let this thread take numbers below 1e-38 for 0, where torch can do so: for one thread only.

    Such numbers, as Adam keeps for weights that get no gradient any more, cost a hundred times the others.
    """
    torch.set_flush_denormal(threads == 1)


def set_own_threads(threads: int) -> None:
    """Fix how many threads torch computes with in the calling thread alone.

    Torch keeps that number for each thread, and takes the one set last for threads that are new to it: so a thread that
    ends at once puts that one back.
    """
    with PROCESS.settings:
        initial = _in_new_thread(torch.get_num_threads)
        torch.get_num_threads()  # after the first call torch knows this thread, and takes no other number for it
        torch.set_num_threads(threads)
        _in_new_thread(lambda: torch.set_num_threads(initial))


def _in_new_thread(call: Any) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


def _flushes_denormals() -> bool:
    return (torch.tensor(torch.finfo(torch.float32).tiny) / 2).item() == 0
