"""What a disk may hold after the power failed: the legal states between what was asked for and what was made durable.

The model is that of Pillai et al., "All File Systems Are Not Created Equal" (OSDI 2014), at its most hostile: the data of
a file since its last fsync is there, lost, cut off or zeros, and of the changes to the names in a folder since its last
fsync any may be there and any lost, in any combination. A rename is one change.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.crash.disk import Operation

MOST_EXHAUSTED = 5
"""Up to so many changes of names every combination is tried; beyond that the telling ones and some at random."""

Unsynced = Literal["whole", "lost", "cut", "zeros"]
State = dict[str, bytes | None]
"""Path to content; a folder has none."""


@dataclass
class Inode:
    """A file's data as asked for, and as made durable; a folder has neither."""

    data: bytes = b""
    durable: bytes = b""
    folder: bool = False

    def content(self, unsynced: Unsynced) -> bytes | None:
        """Return what may be found in it."""
        if self.folder:
            return None
        start = len(self.durable) if self.data.startswith(self.durable) else 0
        cut = start + (len(self.data) - start) // 2
        return {
            "whole": self.data,
            "lost": self.durable,
            "cut": self.data[:cut],
            "zeros": self.data[:cut] + bytes(len(self.data) - cut),
        }[unsynced]


Names = dict[str, Inode]


@dataclass(frozen=True)
class Change:
    """A change of names: one comes, one goes, or both at once."""

    gone: str | None
    come: str | None
    inode: Inode

    def apply(self, names: Names) -> None:
        """Do it."""
        if self.gone is not None:
            names.pop(self.gone, None)
        if self.come is not None:
            names[self.come] = self.inode


@dataclass
class Disk:
    """The names as processes see them, those that are durable, and the changes in between."""

    seen: Names = field(default_factory=dict)
    durable: Names = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)

    def do(self, operation: Operation) -> None:
        """Take an operation."""
        path = operation.path
        match operation.kind:
            case "create" | "mkdir":
                self._change(Change(None, path, Inode(folder=operation.kind == "mkdir")))
            case "rename":
                self._change(Change(path, operation.target, self.seen[path]))
            case "unlink":
                self._change(Change(path, None, self.seen[path]))
            case "write":
                inode = self.seen[path]
                data = inode.data.ljust(operation.offset, b"\0")
                inode.data = data[: operation.offset] + operation.data + data[operation.offset + len(operation.data) :]
            case "fsync":
                self.seen[path].durable = self.seen[path].data
            case "fsync folder":
                self._settle(Path(path))

    def states(self, draw: random.Random) -> Iterator[State]:
        """Yield what may be found after a power failure now."""
        kinds: tuple[Unsynced, ...] = ("whole", "lost", "cut", "zeros")
        for indices in _subsets(len(self.pending), draw):
            names = dict(self.durable)
            for index in indices:
                self.pending[index].apply(names)
            reachable = {path: inode for path, inode in names.items() if self._reachable(path, names)}
            for unsynced in kinds:
                yield {path: inode.content(unsynced) for path, inode in reachable.items()}

    def _change(self, change: Change) -> None:
        change.apply(self.seen)
        self.pending.append(change)

    def _settle(self, folder: Path) -> None:
        changes = [change for change in self.pending if Path(change.come or change.gone or "").parent == folder]
        for change in changes:
            change.apply(self.durable)
        self.pending = [change for change in self.pending if change not in changes]

    def _reachable(self, path: str, names: Names) -> bool:
        """Tell whether all the folders above are there that were made on this disk."""
        folders = {str(parent) for parent in Path(path).parents} & self.seen.keys()
        return folders <= names.keys()


def _subsets(size: int, draw: random.Random) -> Iterator[tuple[int, ...]]:
    indices = tuple(range(size))
    if size <= MOST_EXHAUSTED:
        for count in range(size + 1):
            yield from itertools.combinations(indices, count)
        return
    for index in range(size + 1):
        yield indices[:index]
        yield indices[:index] + indices[index + 1 :]
        yield (index,) if index < size else ()
    for _ in range(2 * size):
        yield tuple(index for index in indices if draw.random() < 0.5)


def lay_out(state: State, folder: Path, root: str) -> None:
    """Put a state of the disk that was seen under `root` into an empty folder."""
    for path, content in sorted(state.items()):
        target = folder / Path(path).relative_to(root)
        if content is None:
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            target.write_bytes(content)
