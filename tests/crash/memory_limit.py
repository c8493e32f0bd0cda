"""A memory limit of the operating system around one process, and the death that comes of passing it."""

import os
from pathlib import Path

from tests.crash import pipeline

LIMIT = 16 * 2**20
ROOTS = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
"""Where groups with memory limits are made: version 1 of control groups, then version 2."""


class MemoryLimit:
    """A control group of this name; needs the rights to make one, which root has.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1/memory.html.
    """

    def __init__(self, name: str) -> None:
        root = next(root for root in ROOTS if root.is_dir())
        self.folder = root / name
        first = root == ROOTS[0]
        self._limit = "memory.limit_in_bytes" if first else "memory.max"
        self._events = "memory.oom_control" if first else "memory.events"

    def enter(self) -> None:
        """Let what this process takes from now on count, up to LIMIT bytes."""
        self.folder.mkdir()
        (self.folder / self._limit).write_text(str(LIMIT))
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def kills(self) -> int:
        """Return how many processes the kernel killed for want of memory, and remove the group."""
        events = dict(line.split() for line in (self.folder / self._events).read_text().splitlines())
        self.folder.rmdir()
        return int(events["oom_kill"])


def exceeded(folder: Path, step: int, name: str) -> str:
    """Train, and take more memory than there is right after a step."""

    def exceed() -> None:
        MemoryLimit(name).enter()
        taken = [bytes([1]) * 2**20 for _ in range(LIMIT // 2**20 * 4)]
        raise AssertionError(f"took {len(taken)} MiB in spite of a limit of {LIMIT // 2**20} MiB")

    return pipeline.complete_but(folder, step, exceed)
