"""What is wrong with runs, and the way out: broken files, leftovers of killed writers, other code, a full disk."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from unbroken.catalog.summary import RunFolder, is_held
from unbroken.checkpoints.inspection import verify_run
from unbroken.checkpoints.store import CORRUPT
from unbroken.code.record import CodeRecord, present_code
from unbroken.config.chosen import MLP
from unbroken.errors import UnbrokenError
from unbroken.stages.finished import broken_files
from unbroken.storage import own_files
from unbroken.storage.journal import Journal
from unbroken.storage.temporary import TEMPORARY

SPARE_CHECKPOINTS = 3
"""As many checkpoints as the largest should fit on the disk."""


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """What is wrong with a file or a folder.

    Attributes:
        harmless: Whether nothing of the run is lost by it.
    """

    path: Path
    text: str
    harmless: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


def examine(runs: Iterable[Path], runs_folder: Path) -> Iterator[Complaint]:
    """Yield what is wrong with runs and with the folder that holds them; nothing is changed."""
    for run in runs:
        yield from examine_run(run)
    yield from _leftovers(runs_folder.glob(f".*{TEMPORARY}"), "unbroken runs clean")
    yield from _space(runs_folder)


def examine_run(folder: Path) -> Iterator[Complaint]:
    """Yield what is wrong with a run."""
    run = RunFolder(folder).run
    if is_held(run.lock):
        owner = (
            own_files.read(folder / "owner").decode(errors="replace") if (folder / "owner").is_file() else "a process"
        )
        yield Complaint(path=folder, text=f"{owner} trains it; looked at as it was a moment ago", harmless=True)
    try:
        complaints = [status for status in verify_run(folder) if status.complaint]
    except UnbrokenError as error:
        yield Complaint(path=folder, text=str(error))
        return
    for status in complaints:
        text = str(status.complaint).removeprefix(f"{status.path}: ")
        yield Complaint(path=status.path, text=f"{text}; the same command makes it anew from what is whole")
    for path, text in broken_files(run):
        if path not in {status.path for status in complaints}:
            yield Complaint(path=path, text=f"{text.removeprefix(f'{path}: ')}; the same command makes it anew")
    for path in sorted(run.checkpoints.glob(f"*{CORRUPT}")):
        yield Complaint(
            path=path,
            text="a corrupt checkpoint that was set aside; the run went on without it: delete it",
            harmless=True,
        )
    yield from _leftovers(folder.rglob(f".*{TEMPORARY}"), "the same command sweeps it")
    yield from _journal(run.journal)
    yield from _code(RunFolder(folder))


def _leftovers(paths: Iterable[Path], way_out: str) -> Iterator[Complaint]:
    for path in sorted(paths):
        if own_files.is_locked(path) is False:
            yield Complaint(path=path, text=f"left by a writer that was killed; {way_out}", harmless=True)


def _journal(path: Path) -> Iterator[Complaint]:
    if not path.is_file():
        yield Complaint(path=path, text="no journal; the table of its epochs has no observations", harmless=True)
        return
    lines = [line for line in own_files.read(path).split(b"\n") if line]
    broken = len(lines) - len(Journal(path).events())
    if broken:
        yield Complaint(path=path, text=f"{broken} of {len(lines)} lines were cut off or changed", harmless=True)


def code_change(folder: RunFolder) -> str | None:
    """Return a sentence on how the code of this process differs from that which trained a run; None if it does not."""
    record = CodeRecord.read(folder.run.code, Journal(folder.run.journal))
    return record.change(present_code(folder.factory or MLP))


def _code(folder: RunFolder) -> Iterator[Complaint]:
    try:
        change = code_change(folder)
    except UnbrokenError as error:
        yield Complaint(path=folder.run.code, text=str(error))
        return
    if change:
        text = f"{change}; it goes on only with --resume.accept_code true"
        yield Complaint(path=folder.path, text=text, harmless=True)


def _space(runs_folder: Path) -> Iterator[Complaint]:
    sizes = [path.stat().st_size for path in runs_folder.glob("*/checkpoints/*.pth")]
    free = shutil.disk_usage(runs_folder).free
    if sizes and free < SPARE_CHECKPOINTS * max(sizes):
        text = (
            f"{free:,} bytes are free on its disk, the largest checkpoint has {max(sizes):,}; see unbroken runs clean"
        )
        yield Complaint(path=runs_folder, text=text)
