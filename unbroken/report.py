"""What a run did, for a person: the epoch table from its history and its journal."""

import math
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from unbroken import checkpoint
from unbroken.history import History
from unbroken.journal import Event, Journal
from unbroken.run import Run
from unbroken.state import Tree


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """The published checkpoint of a run and what was noted on the way to it."""

    tree: Tree
    events: list[Event]

    @classmethod
    def read(cls, run: Run) -> "RunReport":
        """Read the published checkpoint and the journal."""
        return cls(tree=checkpoint.read(Path(run.published)), events=Journal(run.journal).events())

    @property
    def history(self) -> History:
        """One entry per epoch."""
        return self.tree["history"]

    def observations(self, epoch: int) -> str:
        """Return what happened in an epoch, in the order it happened."""
        notes = [_note(event) for event in self.events if _epoch_of(event) == epoch]
        return ", ".join(dict.fromkeys(note for note in notes if note))

    def table(self) -> Table:
        """Return the epoch table: training loss, test metrics and observations."""
        metrics = [name for name in self.history[-1] if name.startswith(("test_", "validation_"))]
        headings = [name.replace("_", "\n").replace("validation", "valid.") for name in metrics]
        table = Table("epoch", "loss", *headings, "observation", box=SIMPLE_HEAD)
        for entry in self.history:
            epoch = int(entry["epoch"])
            numbers = [_number(entry["loss"]), *(_number(entry[name]) for name in metrics)]
            table.add_row(str(epoch), *numbers, self.observations(epoch))
        return table


def _epoch_of(event: Event) -> int | None:
    """Return the epoch in whose row an event is told: one after the last whole epoch for what began inside it."""
    if event["event"] == "checkpoint saved":
        return event["epoch"] + (1 if event["step"] else 0)
    return event["epoch"] + 1 if event["event"] == "resumed" else event.get("epoch")


def _note(event: Event) -> str:
    match event["event"]:
        case "checkpoint saved":
            return "" if event["step"] else "checkpoint saved"
        case "resumed":
            return f"resumed from step {event['step']}" if event["step"] else f"resumed from epoch {event['epoch']}"
        case "skipped corrupt":
            return "skipped a corrupt checkpoint"
    return ""


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
