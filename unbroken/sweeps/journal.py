"""What a sweep has drawn and what came of it: all that its study is made of.

A trial is written down before it trains. One that was killed has a proposal and no outcome: it is taken up again under
the same settings, in the same run. Nothing is marked as running, so nothing can be left so.
"""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from unbroken.errors import DataError
from unbroken.storage.journal import Clock, Event, Journal, utc_now

PROPOSED, ENDED, PUBLISHED = "proposed", "ended", "published"
State = Literal["complete", "pruned", "failed"]
Entry = TypeVar("Entry")


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A trial before it trains.

    Attributes:
        trial: Its number, from 0.
        settings: What it is trained with, by dotted names.
        drawn: The same as the sampler knows it: numbers, and positions among choices.
        attributes: What the sampler remembers of the trial, such as its place in a grid.
        memory: What the sampler remembers of the study, such as how far a sequence has come.
    """

    trial: int
    settings: dict[str, Any]
    drawn: dict[str, float | int]
    attributes: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a trial.

    Attributes:
        trial: Its number.
        state: `complete`, `pruned` by the metric of its epochs, or `failed`: it diverged, or its settings cannot be trained.
        run: The key of its run.
        values: The monitored metric of each epoch; None where that was no finite number.
        epoch: The best of these epochs.
        value: The metric of that epoch.
        because: Why it failed.
        attributes: What the pruner remembers of the trial.
    """

    trial: int
    state: State
    run: str
    values: tuple[float | None, ...]
    epoch: int | None = None
    value: float | None = None
    because: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A trial that was published as a run: the key of that, and the SHA-256 of its checkpoint."""

    trial: int
    run: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """All that a journal says, by the numbers of the trials; publications in their order."""

    proposals: dict[int, Proposal] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    publications: list[Publication] = field(default_factory=list)

    def take(self, value: Proposal | Outcome | Publication) -> None:
        """Add an entry."""
        if isinstance(value, Publication):
            self.publications.append(value)
        elif isinstance(value, Proposal):
            self.proposals.setdefault(value.trial, value)
        else:
            self.outcomes.setdefault(value.trial, value)


KINDS: dict[str, TypeAdapter[Any]] = {
    PROPOSED: TypeAdapter(Proposal),
    ENDED: TypeAdapter(Outcome),
    PUBLISHED: TypeAdapter(Publication),
}
EVENTS: dict[type, str] = {Proposal: PROPOSED, Outcome: ENDED, Publication: PUBLISHED}


@dataclass(frozen=True, slots=True)
class SweepJournal:
    """The journal of a sweep: append-only, a digest on each line, each durable before the sweep goes on."""

    path: Path
    clock: Clock = utc_now

    def append(self, value: Proposal | Outcome | Publication) -> None:
        """Add an entry, durably."""
        Journal(self.path, self.clock, sealed=True).append(EVENTS[type(value)], **asdict(value))
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self) -> Record:
        """Return what it says; a line that was cut off or changed is passed over with a warning, and its trial is made again.

        Raises:
            DataError: A line is whole, but says what this version does not know.
        """
        record = Record()
        for event in Journal(self.path, sealed=True).events():
            record.take(self._entry(event))
        return record

    def _entry(self, event: Event) -> Any:
        kind = event.get("event", "")
        if kind not in KINDS:
            raise DataError(f"{self.path}: found a line about {kind!r}, expected one of {', '.join(KINDS)}")
        try:
            return KINDS[kind].validate_python(
                {name: value for name, value in event.items() if name not in ("time", "event")}
            )
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = ".".join(map(str, problem["loc"]))
            raise DataError(f"{self.path}: a line about {kind!r}: {where}: {problem['msg']}") from None
