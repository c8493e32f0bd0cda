"""What came of a sweep: a table of its trials and its best, for a terminal, as JSON and as a page."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from unbroken.reports.markdown import format_number, markdown_table
from unbroken.stages.results import UNDEFINED_AS_NAN, Restored
from unbroken.storage import atomic
from unbroken.storage.artifact import Artifact
from unbroken.sweeps.journal import Outcome, Proposal, Record
from unbroken.sweeps.sweep import Sweep

BEST = "best"
NUMBER = "{:.6g}"


@dataclass(frozen=True, kw_only=True)
class SweepResult(Artifact):
    """The checkpoint of the best trial, published as a run, and where all trials stand.

    Attributes:
        folder: The folder of the sweep, with `sweep.json`, and `sweep.html` if that could be written.
        trial: The number of the best trial.
        monitor: The metric of the validation rows that it is the best by.
        value: That metric.
        epoch: The epoch that was published.
        metrics: The metrics of that epoch; on the test rows they were computed for it alone.
        counts: How many trials are complete, pruned and failed.
    """

    __pydantic_config__ = UNDEFINED_AS_NAN

    folder: str
    trial: int
    monitor: str
    value: float
    epoch: int
    metrics: dict[str, float]
    counts: dict[str, int]

    def __str__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in self.counts.items() if count)
        return (
            f"trial {self.trial} of {sum(self.counts.values())} ({states}), {self.monitor} {format_number(self.value)}"
        )


@dataclass(frozen=True, kw_only=True)
class Trials:
    """The trials of a sweep that are known, in their order."""

    sweep: Sweep
    record: Record
    best: int | None

    @classmethod
    def read(cls, sweep: Sweep) -> "Trials":
        """Read the journal."""
        record = sweep.journal.read()
        published = record.publications[-1].trial if record.publications else None
        return cls(sweep=sweep, record=record, best=published)

    @property
    def ended(self) -> list[tuple[Proposal, Outcome]]:
        """What is over."""
        outcomes = sorted(self.record.outcomes.items())
        return [(self.record.proposals[trial], one) for trial, one in outcomes if trial < self.sweep.trials]

    @property
    def monitor(self) -> str:
        """What trials are compared by."""
        return str(self.sweep.config.train.chosen.monitor)

    def rows(self) -> list[list[str]]:
        """Return the table: settings, epochs, the monitored metric and the state; the heading first."""
        heading = ["trial", *self.sweep.space.dimensions, "epochs", self.monitor, "state"]
        return [heading, *(self._row(proposal, outcome) for proposal, outcome in self.ended)]

    def _row(self, proposal: Proposal, outcome: Outcome) -> list[str]:
        settings = [show(value) for value in proposal.settings.values()]
        epochs = f"{outcome.epoch or '-'} of {len(outcome.values)}"
        state = f"{outcome.state}, {BEST}" if outcome.trial == self.best else outcome.state
        return [str(outcome.trial), *settings, epochs, format_number(outcome.value), state]

    def table(self) -> Table:
        """Return the table for a terminal."""
        heading, *rows = self.rows()
        table = Table(
            *(name.replace(".", ".\n").replace("validation_", "valid.\n") for name in heading), box=SIMPLE_HEAD
        )
        for row in rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """Return the table as Markdown."""
        return f"# {len(self.ended)} trials\n\n{markdown_table(self.rows())}\n"

    def as_json(self, restored: Restored) -> dict[str, Any]:
        """Return all of it but places and times: the same for the same study, however often it was killed."""
        return {
            "sweep": self.sweep.key,
            "monitor": self.monitor,
            "trials": [_told(proposal, outcome) for proposal, outcome in self.ended],
            "best": {
                "trial": self.best,
                "run": Path(restored.path).parent.name,
                "sha256": restored.digest,
                "epoch": restored.epoch,
                "metrics": {name: _finite(value) for name, value in restored.metrics.items()},
            },
        }


def write_result(sweep: Sweep, restored: Restored) -> SweepResult:
    """Write `sweep.json` and `sweep.html` of a sweep whose best is published, and return what came of it."""
    from unbroken.sweeps.page import write_page_or_warn  # noqa: PLC0415 (charts)

    trials = Trials.read(sweep)
    content = json.dumps(trials.as_json(restored), indent=1).encode()
    if not sweep.result.is_file() or sweep.result.read_bytes() != content or not sweep.page.is_file():
        atomic.write(sweep.result, content)
        write_page_or_warn(trials, restored)
    states = [outcome.state for _, outcome in trials.ended]
    assert trials.best is not None  # it is published
    return SweepResult(
        path=restored.path,
        digest=restored.digest,
        folder=sweep.folder,
        trial=trials.best,
        monitor=trials.monitor,
        value=float(trials.record.outcomes[trials.best].value or 0.0),
        epoch=restored.epoch,
        metrics=restored.metrics,
        counts={state: states.count(state) for state in ("complete", "pruned", "failed")},
    )


def in_words(proposal: Proposal, outcome: Outcome, monitor: str) -> str:
    """Return a trial that is over in one line."""
    settings = ", ".join(f"{name} {show(value)}" for name, value in proposal.settings.items())
    value = f", {monitor} {format_number(outcome.value)} in epoch {outcome.epoch} of {len(outcome.values)}"
    return f"{settings}: {outcome.state}{value if outcome.epoch else ''}{f': {outcome.because}' if outcome.because else ''}"


def show(value: Any) -> str:
    """Return the value of a setting, for a person."""
    return NUMBER.format(value) if isinstance(value, float) else str(value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _told(proposal: Proposal, outcome: Outcome) -> dict[str, Any]:
    return {
        "trial": outcome.trial,
        "state": outcome.state,
        "settings": proposal.settings,
        "run": outcome.run,
        "epoch": outcome.epoch,
        "value": outcome.value,
        "values": outcome.values,
        "because": outcome.because,
    }
