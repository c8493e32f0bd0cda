"""What happened in each attempt, one JSON line an event: seconds, restarts, what was skipped and why.

It lies beside the checkpoints, never inside them, so that their bytes do not depend on how often a run died.
"""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from unbroken.errors import DataError
from unbroken.storage import atomic, own_files
from unbroken.storage.sealed import is_sealed, seal, unseal

log = logging.getLogger(__name__)
Event = dict[str, Any]
FIRST = "time"
"""The first member of a line."""
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


Place = Annotated[int, Field(strict=True, ge=0)] | None


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How a challenger did against a champion."""

    rows: int
    metric: str
    champion: float
    challenger: float
    gain: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Line:
    """What events say that others read, whichever event it is; further details may be anything."""

    time: str
    event: str
    epoch: Place = None
    step: Place = None
    decision: Place = None
    checkpoint: str | None = None
    reason: str | None = None
    data: str | None = None
    champion: str | None = None
    challenger: str | None = None
    scores: Scores | None = None

    def __post_init__(self) -> None:
        datetime.fromisoformat(self.time)


LINE = TypeAdapter(Line)


@dataclass(frozen=True, slots=True)
class Journal:
    """An append-only file of events."""

    path: Path
    clock: Clock = utc_now
    sealed: bool = False
    """Whether each line carries its digest."""
    durable: bool = False
    """Whether a line outlives a power cut once it is written."""

    def append(self, event: str, /, **details: Any) -> None:
        """Add an event with the present time as one line."""
        line = json.dumps({FIRST: self.clock().isoformat(timespec="milliseconds"), "event": event, **details}).encode()
        line = seal(line) if self.sealed else line
        with atomic.path_in_errors(self.path), own_files.open_to_append(self.path) as file:
            # A line cut off by a crash must not swallow the next one.
            separator = b"" if file.tell() == 0 or self._ends_whole() else b"\n"
            file.write(separator + line + b"\n")
            if self.durable:
                file.flush()
                os.fsync(file.fileno())
                atomic.sync_folder(self.path.parent)

    def events(self) -> list[Event]:
        """Return all whole events in order; a line cut off by a crash, or changed, is passed over with a warning."""
        if not self.path.exists():
            return []
        events = []
        lines = own_files.read(self.path).split(b"\n")
        for number, line in enumerate(lines, start=1):
            try:
                event = json.loads(unseal(line, "", FIRST) if self.sealed else line)
                LINE.validate_python(event)
            except (ValueError, RecursionError, DataError):  # what pydantic raises is a ValueError
                event = None
            if event is not None:
                events.append(event)
            elif line:
                what = "changed since it was written" if is_sealed(line) else "was cut off by a crash, or changed"
                log.warning("%s: line %d %s: %r", self.path, number, what, line[:80])
        if self.sealed and (old := sum(line.startswith(f'{{"{FIRST}"'.encode()) for line in lines)):
            log.warning("%s: %d lines of an earlier version have no digest: taken as they are", self.path, old)
        return events

    def _ends_whole(self) -> bool:
        with open(self.path, "rb") as file:
            file.seek(-1, 2)
            return file.read(1) == b"\n"
