"""What a run did, for a person: epochs, attempts and lineage, from its history and its journal."""

import json
import math
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from unbroken.checkpoints.history import History
from unbroken.reports.markdown import markdown_table, number, values_table
from unbroken.run import Run
from unbroken.storage.journal import Event, Journal

BARS = "▁▂▃▄▅▆▇█"
LONGEST_CURVE = 60


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """The manifest of a run's published checkpoint and what was noted on the way to it; needs no torch."""

    manifest: dict[str, Any]
    events: list[Event]

    @classmethod
    def read(cls, run: Run) -> "RunReport":
        """Read the manifest and the journal."""
        return cls(manifest=json.loads(run.manifest.read_bytes()), events=Journal(run.journal).events())

    @property
    def history(self) -> History:
        """One entry per epoch."""
        return self.manifest["history"]

    def observations(self, epoch: int) -> str:
        """Return what happened in an epoch, in the order it happened."""
        notes = [_note(event) for event in self.events if _epoch_of(event) == epoch]
        return ", ".join(dict.fromkeys(note for note in notes if note))

    def table(self) -> Table:
        """Return the epoch table: training loss, test metrics and observations."""
        metrics = self._metrics()
        headings = [name.replace("_", "\n").replace("validation", "valid.") for name in metrics]
        table = Table("epoch", "loss", *headings, "observation", box=SIMPLE_HEAD)
        for entry in self.history:
            epoch = int(entry["epoch"])
            numbers = [number(entry["loss"]), *(number(entry[name]) for name in metrics)]
            table.add_row(str(epoch), *numbers, self.observations(epoch))
        return table

    def markdown(self, run: Run) -> str:
        """Return the report as Markdown: result, epochs, curves, attempts and lineage."""
        last = self.history[-1]
        parts = [
            f"# {self.manifest['epoch']} epochs",
            f"`{run.published}`: {_tested(last)}",
            "## Epochs",
            markdown_table(self._epochs()),
            "## Curves",
            markdown_table([["metric", "first to last epoch", "last"], *self._curves()]),
            "## Attempts",
            markdown_table([["time (UTC)", "what happened"], *self._attempts()]),
            "## Lineage",
            values_table(self._lineage(run)),
        ]
        return "\n\n".join(parts) + "\n"

    def _epochs(self) -> list[list[str]]:
        names = ["loss", *self._metrics()]
        rows = [[str(int(entry["epoch"])), *(number(entry[name]) for name in names)] for entry in self.history]
        noted = [[*row, self.observations(int(row[0]))] for row in rows]
        return [["epoch", *names, "observation"], *noted]

    def _curves(self) -> list[list[str]]:
        curves = {name: [entry[name] for entry in self.history] for name in ["loss", *self._metrics()]}
        return [[name, _sparkline(values), number(values[-1])] for name, values in curves.items()]

    def _attempts(self) -> list[list[str]]:
        told = [event for event in self.events if event["event"] != "checkpoint saved"]
        return [[event["time"][:19].replace("T", " "), _what(event)] for event in told]

    def _lineage(self, run: Run) -> dict[str, object]:
        lineage = self.manifest["lineage"]
        config = lineage["config"]
        return {
            "run": run.key,
            "data SHA-256": run.fingerprint,
            "started warm from": run.parent or "-",
            "model": f"{config['model']['factory']} {config['model']['options'] or ''}",
            **lineage["numerics"],
        }

    def _metrics(self) -> list[str]:
        return [name for name in self.history[-1] if name.startswith(("test_", "validation_"))]


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


def _what(event: Event) -> str:
    details = {name: value for name, value in event.items() if name not in {"time", "event"}}
    return ", ".join([str(event["event"]), *(f"{name} {value}" for name, value in details.items())])


def _tested(entry: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {number(entry[name])}" for name in entry if name.startswith("test_"))


def _sparkline(values: list[float]) -> str:
    """Return a curve of at most LONGEST_CURVE bars, from the lowest to the highest value."""
    shown = values[:: max(1, math.ceil(len(values) / LONGEST_CURVE))]
    finite = [value for value in shown if math.isfinite(value)]
    low, span = min(finite, default=0.0), (max(finite, default=0.0) - min(finite, default=0.0)) or 1.0
    top = len(BARS) - 1
    return "".join(BARS[round((value - low) / span * top)] if math.isfinite(value) else " " for value in shown)
