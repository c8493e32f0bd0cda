"""The processes of this machine that work on the flow runs of a project, found by what their worker left in their environment."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MARK = "UNBROKEN_SERVED_FROM"
"""Variable of a worker, inherited by its supervisors and engines: the folder of the project."""

RUN = "PREFECT__FLOW_RUN_ID"
SUPERVISOR = b"flow-run\0execute\0"
PROC = Path("/proc")


@dataclass(frozen=True)
class RunProcess:
    """A supervisor, an engine, or a process that an engine started."""

    number: int
    run: str
    is_supervisor: bool

    def catches_sigterm(self) -> bool:
        """Tell whether the process has set up what SIGTERM does; before, it would die of it."""
        lines = _read(self.number, "status").splitlines()
        masks = [int(line.split()[1], 16) for line in lines if line.startswith(b"SigCgt:")]
        return any(mask >> (signal.SIGTERM - 1) & 1 for mask in masks)


def run_processes(project: Path) -> list[RunProcess]:
    """Return the live processes that work on flow runs which the worker of a project started."""
    numbers = [int(path.name) for path in PROC.iterdir() if path.name.isdigit()] if PROC.is_dir() else []
    return [process for number in numbers for process in _run_process(number, project)]


def _run_process(number: int, project: Path) -> Iterator[RunProcess]:
    # A process that ended and is not reaped has an empty environment; those of other users cannot be read.
    variables = dict(part.partition(b"=")[::2] for part in _read(number, "environ").split(b"\0"))
    run = variables.get(RUN.encode())
    if run and variables.get(MARK.encode()) == str(project).encode():
        yield RunProcess(number, run.decode(), SUPERVISOR in _read(number, "cmdline"))


def _read(number: int, name: str) -> bytes:
    try:
        return (PROC / str(number) / name).read_bytes()
    except OSError:  # it ended meanwhile, or is another user's
        return b""
