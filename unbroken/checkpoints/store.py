"""The checkpoints of a run: each under a name that tells its place and its digest, so each can be judged by itself.

There is no pointer and no index that could be lost or disagree: the newest file whose bytes fit its name is the newest
checkpoint. `epoch-0003.<digest>.pth` was written at the end of epoch 3, `epoch-0003-step-00000260.<digest>.pth` later,
inside epoch 4.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unbroken.checkpoints.format import read_checkpoint, write_checkpoint
from unbroken.checkpoints.tree import Tree
from unbroken.errors import CheckpointError, CorruptCheckpointError
from unbroken.storage import atomic
from unbroken.storage.journal import Journal

log = logging.getLogger(__name__)
NAME = re.compile(r"epoch-(?P<epoch>\d{4,})(-step-(?P<step>\d{8,}))?\.(?P<digest>[0-9a-f]{16})\.pth")
DIGEST_DIGITS = 16
CORRUPT = ".corrupt"


@dataclass(frozen=True, slots=True)
class Entry:
    """A checkpoint file by its name alone; `step` is 0 at the end of an epoch."""

    path: Path
    epoch: int
    step: int
    digest: str

    @property
    def order(self) -> tuple[int, int]:
        """What newer means."""
        return self.epoch, self.step

    def describe(self) -> str:
        """Return its place in words."""
        return f"epoch {self.epoch}" + (f", step {self.step}" if self.step else "")

    def read(self) -> Tree:
        """Read it whole or raise CorruptCheckpointError."""
        return read_checkpoint(self.path, self.digest)


@dataclass(frozen=True, slots=True)
class CheckpointStore:
    """A folder of checkpoints that one process at a time writes to; `allowed` raises in one that may no longer."""

    folder: Path
    journal: Journal
    keep_last: int = 2
    allowed: Callable[[], None] = lambda: None

    def save(self, tree: Tree, *, inside_epoch: bool, best_epoch: int | None) -> Entry:
        """Write a checkpoint durably, then delete those that retention lets go: all but the newest and the best epoch's."""
        place = f"epoch-{tree['epoch']:04d}" + (f"-step-{tree['step']:08d}" if inside_epoch else "")

        def named() -> Path:
            return self.folder / f"{place}.{file.digest[:DIGEST_DIGITS]}.pth"

        with atomic.replacing(self.folder / place, self.allowed, named) as file:
            write_checkpoint(tree, file)
        entry = _entry(named())
        self._retain(entry, best_epoch)
        return entry

    def entries(self) -> list[Entry]:
        """Return the checkpoints by name, newest first."""
        found = [_entry(path) for path in self.folder.glob("epoch-*.pth") if NAME.fullmatch(path.name)]
        return sorted(found, key=lambda entry: entry.order, reverse=True)

    def newest(self) -> tuple[Entry, Tree] | None:
        """Return the newest whole checkpoint, setting corrupt ones aside, or None if nothing was ever saved.

        Raise CheckpointError if there were checkpoints and none is whole: training never starts anew in silence.
        """
        entries = self.entries()
        for entry in entries:
            try:
                return entry, entry.read()
            except CorruptCheckpointError as error:
                self._set_aside(entry, str(error))
        if entries or any(self.folder.glob(f"*{CORRUPT}")):
            raise CheckpointError(
                f"{self.folder}: found only corrupt checkpoints (*{CORRUPT}). "
                f"Restore one from a backup, or move the folder away to train from the beginning"
            )
        return None

    def epoch(self, number: int) -> Entry:
        """Return the checkpoint of the end of an epoch; raise CheckpointError if it is not kept."""
        for entry in self.entries():
            if (entry.epoch, entry.step) == (number, 0):
                return entry
        kept = ", ".join(entry.describe() for entry in self.entries()) or "none"
        raise CheckpointError(f"{self.folder}: found no checkpoint of epoch {number}; kept are: {kept}")

    def _retain(self, newest: Entry, best_epoch: int | None) -> None:
        for place, entry in enumerate(self.entries()):
            same_place = entry.order == newest.order and entry.path != newest.path
            if same_place:
                self._report("rewritten", f"{entry.path.name}: {newest.describe()} came out as {newest.path.name}")
            kept = place < self.keep_last or (entry.epoch == best_epoch and not entry.step)
            if same_place or not kept:
                entry.path.unlink()

    def _set_aside(self, entry: Entry, reason: str) -> None:
        entry.path.rename(entry.path.with_name(entry.path.name + CORRUPT))
        atomic.sync_folder(self.folder)
        self._report("skipped corrupt", reason, epoch=entry.epoch)

    def _report(self, event: str, reason: str, **details: Any) -> None:
        log.warning("%s: %s", event, reason)
        self.journal.append(event, reason=reason, **details)


def _entry(path: Path) -> Entry:
    parts = NAME.fullmatch(path.name)
    assert parts is not None
    return Entry(path=path, epoch=int(parts["epoch"]), step=int(parts["step"] or 0), digest=parts["digest"])
