"""What interruptions cost a training: how long each attempt was of use, what was lost between, and the share that was not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest

from unbroken.storage.journal import Event

BEGINNINGS = ("started", "resumed")
SAVED = "checkpoint saved"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at a training.

    Attributes:
        began: When (UTC, ISO 8601).
        origin: Where it went on from: the beginning, an epoch or a step.
        reached: The last checkpoint of it that was of use: an epoch or a step; None if there was none.
        useful: Seconds to that checkpoint.
        lost: Seconds from there to the beginning of the next attempt: work that was done anew, and nobody at work. Where this
            attempt had done all that was asked of it, the time until more was asked is not lost.
    """

    began: str
    origin: str
    reached: str | None
    useful: float
    lost: float


@dataclass(frozen=True, kw_only=True)
class Goodput:
    """The time of a training by what came of it."""

    attempts: tuple[Attempt, ...]

    @property
    def useful(self) -> float:
        """Seconds of which the result is made."""
        return sum(attempt.useful for attempt in self.attempts)

    @property
    def lost(self) -> float:
        """Seconds that interruptions cost."""
        return sum(attempt.lost for attempt in self.attempts)

    @property
    def share(self) -> float:
        """Useful time / elapsed time; 1 where nothing took time."""
        elapsed = self.useful + self.lost
        return self.useful / elapsed if elapsed > 0 else 1.0

    @classmethod
    def of(cls, events: Sequence[Event]) -> "Goodput":
        """Compute it from the events of a journal in their order."""
        parts = _attempts(events)
        return cls(attempts=tuple(_attempt(part, after) for part, after in zip_longest(parts, parts[1:])))


def _attempts(events: Sequence[Event]) -> list[list[Event]]:
    """Return the events of each attempt, which begins with the first."""
    parts: list[list[Event]] = []
    for event in events:
        if event["event"] in BEGINNINGS:
            parts.append([event])
        elif parts:
            parts[-1].append(event)
    return parts


def _attempt(part: list[Event], after: list[Event] | None) -> Attempt:
    began = _time(part[0])
    last = _last_of_use(part, after)
    ended = _time(last) if last else began
    useful = max(0.0, ended - began)
    is_done = last is not None and not last.get("step") and last.get("epoch") == part[0].get("epochs")
    lost = 0.0 if after is None or is_done else max(0.0, _time(after[0]) - ended)
    origin = "the beginning" if part[0]["event"] == "started" else _place(part[0])
    return Attempt(
        began=part[0]["time"], origin=origin, reached=_place(last) if last else None, useful=useful, lost=lost
    )


def _last_of_use(part: list[Event], after: list[Event] | None) -> Event | None:
    """Return the save that the next attempt went on from, the last one where none did; None if it went on from before."""
    saves = [event for event in part if event["event"] == SAVED]
    if after is None:
        return saves[-1] if saves else None
    return next(_same_place(saves, after[0]), None)


def _same_place(saves: list[Event], event: Event) -> Iterator[Event]:
    place = event.get("epoch"), event.get("step")
    return (save for save in reversed(saves) if (save.get("epoch"), save.get("step")) == place)


def _time(event: Event) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()


def _place(event: Event) -> str:
    return f"step {event['step']}" if event.get("step") else f"epoch {event.get('epoch', 0)}"
