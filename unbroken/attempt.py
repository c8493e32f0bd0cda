"""What surrounds one attempt at a training: sole ownership of the run, fixed numerics, signals that ask for an end."""

import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from filelock import FileLock, Timeout

from unbroken import atomic
from unbroken.errors import LockedError, StoppedError

deterministic: Any = torch.utils.deterministic  # its one attribute is made at import, so no checker sees it

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def exclusive(folder: Path, *, wait: bool) -> Generator[Callable[[], None]]:
    """Hold a run alone, and yield what raises LockedError once that is no longer so.

    The kernel lets go of the lock when its holder dies, however it dies. A file system that forgets locks, or a folder
    that was deleted, lets a second process in: so each holder leaves its own mark, and looks for it before it writes.
    Raise LockedError if another process has the lock and `wait` is off.
    """
    lock = FileLock(folder / "lock", mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise LockedError(
                f"{folder}: another process is training this run; wait for it to end, or set checkpoint.wait"
            ) from None
        log.warning("%s: another process is training this run; waiting for it to end", folder)
        lock.acquire()
    try:
        yield _mark(folder / "owner")
    finally:
        lock.release()


def _mark(path: Path) -> Callable[[], None]:
    mine = f"process {os.getpid()} on {socket.gethostname()}, {secrets.token_hex(8)}"
    atomic.write(path, mine.encode())

    def require_mine() -> None:
        found = path.read_text() if path.is_file() else "nothing"
        if found != mine:
            raise LockedError(
                f"{path}: found {found}, expected {mine}: another process took the run over, or it was deleted"
            )

    return require_mine


@contextmanager
def reproducible(threads: int) -> Generator[None]:
    """Fix what the bits depend on, and put it back afterwards."""
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode(), _flushes_denormals()
    filling = deterministic.fill_uninitialized_memory
    torch.set_num_threads(threads)
    # As torch.use_deterministic_algorithms, which also imports torch's compiler, more than a second of CPU.
    torch.set_deterministic_debug_mode("error")
    deterministic.fill_uninitialized_memory = False  # costs time, and nothing reads such memory
    # Numbers below 1e-38, as Adam keeps for weights that get no gradient any more, cost a hundred times the others.
    # Torch can leave them out for one thread only.
    torch.set_flush_denormal(threads == 1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        deterministic.fill_uninitialized_memory = filling
        torch.set_flush_denormal(before[2])


def _flushes_denormals() -> bool:
    return (torch.tensor(torch.finfo(torch.float32).tiny) / 2).item() == 0


class StopRequest:
    """Set by SIGTERM or SIGINT while training, which then saves and ends; off the main thread it is never set."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._request) for number in heard}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # ty: ignore[invalid-argument-type]
        if self.signal is not None:
            log.info("stopped by %s; the checkpoint is saved", signal.Signals(self.signal).name)
            # Now that the checkpoint is durable, whoever listened before decides what the signal means.
            signal.raise_signal(self.signal)
            raise StoppedError(
                f"stopped by {signal.Signals(self.signal).name}; the checkpoint is saved, "
                f"run the same command again to go on"
            )

    def _request(self, number: int, _: FrameType | None) -> None:
        self.signal = number
