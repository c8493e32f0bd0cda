"""The checkpoints of a run: each under a name that tells its place and its digest, so each can be judged by itself.

There is no pointer and no index that could be lost or disagree: the newest file whose bytes fit its name is the newest
checkpoint. `epoch-0003.<digest>.pth` was written at the end of epoch 3, `epoch-0003-step-00000260.<digest>.pth` later,
inside epoch 4.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from unbroken.checkpoints.format import read_with_digest, write_checkpoint
from unbroken.checkpoints.tree import Tree
from unbroken.errors import CheckpointError
from unbroken.storage import atomic
from unbroken.storage.journal import Journal

log = logging.getLogger(__name__)
NAME = re.compile(r"epoch-(?P<epoch>\d{4,})(-step-(?P<step>\d{8,}))?\.(?P<digest>[0-9a-f]{16})\.pth")
DIGEST_DIGITS = 16
CORRUPT = ".corrupt"


@dataclass(frozen=True, slots=True)
class Entry:
    """A checkpoint file by its name alone."""

    path: Path
    epoch: int
    step: int
    """Steps since the beginning; 0 at the end of an epoch."""
    digest: str
    """The first DIGEST_DIGITS of the SHA-256 that its bytes must have."""
    sha256: str | None = field(default=None, compare=False)
    """All of it, once the file was written or read."""

    @property
    def order(self) -> tuple[int, int]:
        """What newer means."""
        return self.epoch, self.step

    def describe(self) -> str:
        """Return its place in words."""
        return f"epoch {self.epoch}" + (f", step {self.step}" if self.step else "")

    def read(self) -> Tree:
        """Read it whole or raise CorruptCheckpointError."""
        return self.read_with_digest()[1]

    def read_with_digest(self) -> "tuple[Entry, Tree]":
        """Read it whole and return it with its SHA-256, or raise CorruptCheckpointError."""
        tree, digest = read_with_digest(self.path, self.digest)
        return replace(self, sha256=digest), tree


@dataclass(frozen=True, slots=True)
class CheckpointStore:
    """A folder of checkpoints that one process at a time writes to."""

    folder: Path
    journal: Journal
    keep_last: int = 2
    require_ownership: Callable[[], None] = lambda: None
    """Raises in a process that may write no longer."""

    def save(self, tree: Tree, *, inside_epoch: bool, best_epoch: int | None) -> Entry:
        """Write a checkpoint durably, then delete those that retention lets go: all but the newest and the best epoch's."""
        prefix = f"epoch-{tree['epoch']:04d}" + (f"-step-{tree['step']:08d}" if inside_epoch else "")

        def path() -> Path:
            return self.folder / f"{prefix}.{file.digest[:DIGEST_DIGITS]}.pth"

        with atomic.replacing(self.folder / prefix, self.require_ownership, path) as file:
            write_checkpoint(tree, file)
        entry = replace(_entry(path()), sha256=file.digest)
        self._retain(entry, best_epoch)
        return entry

    def entries(self) -> list[Entry]:
        """Return the checkpoints by name, newest first."""
        entries = [_entry(path) for path in self.folder.glob("epoch-*.pth") if NAME.fullmatch(path.name)]
        return sorted(entries, key=lambda entry: entry.order, reverse=True)

    def epoch(self, number: int) -> Entry:
        """Return the checkpoint of the end of an epoch; raise CheckpointError if it is not kept."""
        entries = self.entries()
        for entry in entries:
            if entry.order == (number, 0):
                return entry
        kept = ", ".join(entry.describe() for entry in entries) or "none"
        raise CheckpointError(f"{self.folder}: found no checkpoint of epoch {number}; kept are: {kept}")

    def set_aside(self, entry: Entry, reason: str) -> None:
        """Rename a corrupt checkpoint durably so that it is no entry any more, and note why."""
        entry.path.rename(entry.path.with_name(entry.path.name + CORRUPT))
        atomic.sync_folder(self.folder)
        self._note("skipped corrupt", reason, epoch=entry.epoch)

    def _retain(self, newest: Entry, best_epoch: int | None) -> None:
        for rank, entry in enumerate(self.entries()):
            rewritten = entry.order == newest.order and entry.path != newest.path
            if rewritten:
                self._note("rewritten", f"{entry.path.name}: {newest.describe()} came out as {newest.path.name}")
            kept = rank < self.keep_last or (entry.epoch == best_epoch and not entry.step)
            if rewritten or not kept:
                entry.path.unlink()

    def _note(self, event: str, reason: str, **details: Any) -> None:
        log.warning("%s: %s", event, reason)
        self.journal.append(event, reason=reason, **details)


def _entry(path: Path) -> Entry:
    parts = NAME.fullmatch(path.name)
    assert parts is not None
    return Entry(path=path, epoch=int(parts["epoch"]), step=int(parts["step"] or 0), digest=parts["digest"])
