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
from typing import Any

from unbroken.storage import atomic

log = logging.getLogger(__name__)
Event = dict[str, Any]
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Journal:
    """An append-only file of events."""

    path: Path
    clock: Clock = utc_now

    def append(self, event: str, **details: Any) -> None:
        """Add an event with the present time as one line."""
        line = json.dumps({"time": self.clock().isoformat(timespec="milliseconds"), "event": event, **details})
        with atomic.path_in_errors(self.path), open(self.path, "ab", opener=_open_private) as file:
            # A line cut off by a crash must not swallow the next one.
            separator = b"" if file.tell() == 0 or self._ends_whole() else b"\n"
            file.write(separator + line.encode() + b"\n")

    def events(self) -> list[Event]:
        """Return all whole events in order; a line cut off by a crash is passed over with a warning."""
        if not self.path.exists():
            return []
        events = []
        for number, line in enumerate(self.path.read_bytes().splitlines(), start=1):
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            if isinstance(event, dict) and "event" in event:
                events.append(event)
            else:
                log.warning("%s: line %d was cut off by a crash: %r", self.path, number, line[:80])
        return events

    def _ends_whole(self) -> bool:
        with open(self.path, "rb") as file:
            file.seek(-1, 2)
            return file.read(1) == b"\n"


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
