"""Sole ownership of a run: a lock that the kernel frees, and a mark that a forgotten lock cannot fake."""

import logging
import os
import secrets
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import Timeout

from unbroken.errors import LockedError
from unbroken.storage import atomic, own_files

log = logging.getLogger(__name__)
LOOK = 0.2
"""Seconds within which whoever only looks whether a run is held lets go of its lock again."""


@contextmanager
def exclusive(folder: Path, *, wait: bool) -> Generator[Callable[[], None]]:
    """Hold a run alone, and yield what raises LockedError once that is no longer so.

    The kernel lets go of the lock when its holder dies, however it dies. A file system that forgets locks, or a folder
    that was deleted, lets a second process in: so each holder leaves its own mark, and looks for it before it writes.

    Args:
        folder: The run's folder, which exists.
        wait: Whether to wait until another holder lets go.

    Raises:
        LockedError: Another process has the lock and `wait` is off.
        DataError: Something else than a regular file stands where the lock belongs.
    """
    lock = own_files.lock(folder / "lock")
    try:
        lock.acquire(timeout=LOOK, poll_interval=LOOK / 10)
    except Timeout:
        if not wait:
            raise LockedError(
                f"{folder}: another process is training this run; wait for it to end, or set checkpoint.wait"
            ) from None
        log.warning("%s: another process is training this run; waiting for it to end", folder)
        lock.acquire()
    try:
        yield _write_owner(folder / "owner")
    finally:
        lock.release()


def wait_until_free(folder: Path, seconds: float) -> None:
    """Wait until no process holds a run, for so many seconds at most."""
    lock = own_files.lock(folder / "lock")
    with suppress(Timeout), lock.acquire(timeout=seconds, poll_interval=LOOK):
        pass


def _write_owner(path: Path) -> Callable[[], None]:
    owner = f"process {os.getpid()} on {socket.gethostname()}, {secrets.token_hex(8)}"
    atomic.write(path, owner.encode())

    def require_ownership() -> None:
        current = own_files.read(path).decode(errors="replace") if path.is_file() else "nothing"
        if current != owner:
            raise LockedError(
                f"{path}: found {current}, expected {owner}: another process took the run over, or it was deleted"
            )

    return require_ownership
