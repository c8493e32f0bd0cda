"""What may happen around a training: signals, stops, other processes, disks that fill up or turn read-only."""

import ctypes
import functools
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from tests.crash import pipeline
from unbroken.errors import ConfigError, LockedError
from unbroken.training import loop

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_REC, MS_PRIVATE = 1, 32, 1 << 14, 1 << 18
SECONDS = 60


def send(number: signal.Signals) -> None:
    """Send a signal to this process."""
    os.kill(os.getpid(), number)


def signalled(folder: Path, step: int, number: signal.Signals) -> str:
    """Train until a signal comes after a step; return what ended the training."""
    try:
        pipeline.complete_but(folder, step, functools.partial(send, number), every_steps=None)
    except KeyboardInterrupt:
        return "KeyboardInterrupt"
    return "nothing"


def signalled_with_own_handler(folder: Path, step: int) -> str:
    """Train until a SIGTERM comes for which somebody listens who does nothing about it."""
    signal.signal(signal.SIGTERM, lambda *_: None)
    return pipeline.complete_but(folder, step, functools.partial(send, signal.SIGTERM), every_steps=None)


def stopped(folder: Path, step: int) -> str:
    """Train and stop for an indefinite time after a step."""
    return pipeline.complete_but(folder, step, functools.partial(send, signal.SIGSTOP))


def impatient(folder: Path) -> str:
    """Train, but not wait for another process that does."""
    return pipeline.complete_but(folder, 0, lambda: None, wait=False)


def deleted(folder: Path, step: int) -> str:
    """Train and lose the whole runs folder after a step."""
    return pipeline.complete_but(folder, step, lambda: shutil.rmtree(folder / "runs"))


def with_a_jumping_clock(folder: Path) -> str:
    """Train with saves by the clock while the clock stands almost still or jumps years ahead."""
    with mock.patch.object(loop.time, "monotonic", side_effect=jumping()):
        return pipeline.complete_but(folder, 0, lambda: None, every_seconds=1.0)


def jumping() -> Iterator[float]:
    """Yield a clock that runs wild."""
    draw, now = random.Random(0), 0.0
    while True:
        now += draw.choice([1e-6, 1e8])
        yield now


def wait_until_stopped(process: int) -> None:
    """Return when a process is stopped by SIGSTOP."""
    deadline = time.monotonic() + SECONDS
    while Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline, "the process does not stop"
        time.sleep(0.005)


def on_a_disk_of(folder: Path, kibibytes: int) -> tuple[Exception, Exception, list[str], str]:
    """Train on a disk that is too small, then on one that is read-only, then make it large enough.

    Return both errors, the checkpoints that were kept and the result.
    """
    mount(folder / "runs", f"size={kibibytes}k")
    full = failure_of(lambda: pipeline.complete(folder))
    mount(folder / "runs", "size=64m", MS_REMOUNT | MS_RDONLY)
    read_only = failure_of(lambda: pipeline.complete(folder))
    kept = sorted(path.name for path in folder.glob("runs/*/checkpoints/*"))
    mount(folder / "runs", "size=64m", MS_REMOUNT)
    return full, read_only, kept, pipeline.complete(folder)


def failure_of(train: Callable[[], object]) -> Exception:
    """Return the error that ends a training for want of a disk that can be written to."""
    try:
        train()
    except (OSError, ConfigError) as error:
        return error
    raise AssertionError("the training did not fail")


def mount(folder: Path, options: str, flags: int = 0) -> None:
    """Mount a disk in memory over a folder, seen by this process alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not flags:
        folder.mkdir(parents=True, exist_ok=True)
        apart = CLONE_NEWNS if os.geteuid() == 0 else CLONE_NEWNS | CLONE_NEWUSER
        _check(libc.unshare(apart))
        _check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
    _check(libc.mount(b"none", str(folder).encode(), b"tmpfs", flags, options.encode()))


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def other_took_over(error: Exception | None) -> bool:
    """Tell whether a training ended because the run is no longer its own."""
    return isinstance(error, LockedError) and "took the run over" in str(error)
