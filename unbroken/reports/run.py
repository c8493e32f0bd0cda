"""The report of a run: its result, settings, curves, epochs, attempts and lineage, from its history and its journal."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from unbroken.checkpoints.history import History, best_epoch
from unbroken.reports.markdown import code, escape_markdown, file_link, format_number, markdown_table, values_table
from unbroken.run import Run
from unbroken.stages.nearest_run import default_settings, flat_settings
from unbroken.storage.journal import Event, Journal
from unbroken.storage.publication import published_manifest

BARS = "▁▂▃▄▅▆▇█"
LONGEST_CURVE = 60
LEFT_OUT = {"checkpoint saved", "code recorded"}
"""Events that say nothing about how attempts went: they have places of their own."""
PLACED = {"checkpoint saved", "resumed"}


ALWAYS_SHOWN = (
    *("model.factory", "training.optimizer", "training.learning_rate", "training.batch_size", "training.scheduler"),
    *("training.seed", "split.kind"),
)


@dataclass(frozen=True, kw_only=True)
class AttemptEnd:
    """When an attempt at a run ended without finishing it (UTC, ISO 8601), and why."""

    time: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """The manifest of a run's published checkpoint and what was noted on the way to it; needs no torch."""

    manifest: dict[str, Any]
    events: list[Event]

    @classmethod
    def read(cls, run: Run) -> "RunReport":
        """Read the manifest and the journal."""
        events = [event for event in Journal(run.journal).events() if _is_placed(event)]
        return cls(manifest=published_manifest(run.published), events=events)

    @property
    def history(self) -> History:
        """One entry per epoch that was trained, also of those after the published one."""
        return self.manifest["history"] + self.manifest.get("later_history", [])

    def observations(self, epoch: int) -> str:
        """Return what happened in an epoch, in the order it happened."""
        texts = [_observation(event) for event in self.events if _epoch_of(event) == epoch]
        if epoch == self.manifest["epoch"] < len(self.history):
            texts.append("published")
        return ", ".join(dict.fromkeys(text for text in texts if text))

    def epochs(self) -> list[list[str]]:
        """Return the table of the epochs: training loss, metrics and observations; the heading first."""
        names = ["loss", *self._metrics()]
        rows = [[str(int(entry["epoch"])), *(format_number(entry[name]) for name in names)] for entry in self.history]
        return [["epoch", *names, "observation"], *([*row, self.observations(int(row[0]))] for row in rows)]

    def test_metrics(self) -> str:
        """Return how the published epoch fared on the test rows, in words."""
        return _words(self.test_metrics_by_name())

    def baselines(self) -> list[str]:
        """Return how guesses that the model has to beat fared on the test rows, in words, and if it does not beat one."""
        unbeaten = self.unbeaten()
        lines = [
            f"{_words(metrics)}  ({name}{': the loss of the model is no better' if name in unbeaten else ''})"
            for name, metrics in self.manifest.get("baselines", {}).items()
        ]
        left_out = self.manifest.get("baselines_left_out", {})
        return [*lines, *(f"{name} is left out: {why}" for name, why in left_out.items())]

    def unbeaten(self) -> list[str]:
        """Return the names of those whose loss on the test rows is as good as the model's."""
        loss, baselines = self.test_metrics_by_name().get("test_loss", math.nan), self.manifest.get("baselines", {})
        return [name for name, metrics in baselines.items() if not loss < metrics.get("test_loss", math.nan)]

    def calibration(self) -> str:
        """Return how sure the predictions are, in words; empty where no rows validate, or too few."""
        shown = (self.manifest.get("calibration") or {}).get("shown")
        if not shown:
            return ""
        share, covered = f"{shown['share']:.0%}", f"{shown['covered']:.1%}"
        if self.manifest["schema"]["task"] == "regression":
            return f"+- {shown['threshold']:.4g} holds {share} of what is to come, and {covered} of the test rows"
        least = 1 - shown["threshold"]
        return f"classes of probability {least:.3g} or more hold {share} of what is to come, and {covered} of the test rows"

    def test_metrics_by_name(self) -> dict[str, float]:
        """Return how the published epoch fared on the test rows."""
        entry = self.manifest["metrics"] | self.manifest.get("test_metrics", {})
        return {name: value for name, value in entry.items() if name.startswith("test_")}

    @property
    def scored_once(self) -> bool:
        """Whether the test rows were scored for the published epoch alone."""
        return "test_metrics" in self.manifest

    def table(self) -> Table:
        """Return the table of the epochs for a terminal."""
        heading, *rows = self.epochs()
        names = [name.replace("_", "\n").replace("validation", "valid.") for name in heading]
        table = Table(*names, box=SIMPLE_HEAD)
        for row in rows:
            table.add_row(*row)
        return table

    @property
    def interrupted(self) -> bool:
        """Whether it took more than one attempt."""
        return any(event["event"] == "resumed" for event in self.events)

    def markdown(self, run: Run, ends: Sequence[AttemptEnd] = ()) -> str:
        """Return the report as Markdown.

        Args:
            run: The run.
            ends: Why its attempts ended, as far as somebody knows.
        """
        parts = [
            f"# {self.manifest['epoch']} epochs",
            f"{code(str(run.published))}: {self.test_metrics()}",
            *([file_link(run.page)] if run.page.is_file() else []),
            values_table(self._result()),
            "## Settings",
            values_table(self.settings()),
            *self._chosen(),
            "## Curves",
            markdown_table([["metric", "first to last epoch", "last"], *self._curves()]),
            "## Epochs",
            markdown_table(self.epochs()),
            "## Attempts",
            markdown_table([["time (UTC)", "what happened"], *attempts(self.events, ends)]),
            "## Lineage",
            values_table(self.lineage(run)),
        ]
        return "\n\n".join(parts) + "\n"

    def _curves(self) -> list[list[str]]:
        curves = {name: [entry[name] for entry in self.history] for name in ["loss", *self._metrics()]}
        return [[name, sparkline(values), format_number(values[-1])] for name, values in curves.items()]

    def _result(self) -> dict[str, object]:
        monitor = self.manifest["lineage"]["config"]["training"]["monitor"]
        best = best_epoch(self.history, monitor) if monitor in self.history[-1] else None
        value = format_number(self.history[best - 1][monitor]) if best else "-"
        return {
            "published": f"epoch {self.manifest['epoch']} of {len(self.history)}",
            "best": f"epoch {best or '-'} by {monitor}: {value}",
            **({"to beat": "; ".join(self.baselines())} if self.manifest.get("baselines") else {}),
            **({"sure": self.calibration()} if self.calibration() else {}),
            "SHA-256": self.manifest["sha256"],
        }

    def settings(self) -> dict[str, object]:
        """Return the settings that always matter, and those that are not at their defaults."""
        settings, defaults = flat_settings(self.manifest["lineage"]["config"]), default_settings()
        changed = {name: value for name, value in settings.items() if value != defaults.get(name)}
        return {name: settings[name] for name in ALWAYS_SHOWN if name in settings} | changed

    def _chosen(self) -> list[str]:
        """Return what was left to be chosen, what it came to and why."""
        reasons = [f"- {escape_markdown(reason)}" for reason in self.manifest.get("chosen", [])]
        return ["\n".join(reasons)] if reasons else []

    def lineage(self, run: Run) -> dict[str, object]:
        """Return what names the run and what it came from."""
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


def _words(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {format_number(value)}" for name, value in metrics.items())


def attempts(events: Sequence[Event], ends: Sequence[AttemptEnd] = ()) -> list[list[str]]:
    """Return when (UTC) and what happened on the way of a run beside its checkpoints, one row each.

    Args:
        events: Those of its journal.
        ends: Why its attempts ended, as far as somebody knows.
    """
    rows = [(event["time"], _description(event)) for event in events if event["event"] not in LEFT_OUT]
    rows = sorted([*rows, *((end.time, f"ended: {end.reason}") for end in ends)])
    return [[time[:19].replace("T", " "), what] for time, what in rows]


def _is_placed(event: Event) -> bool:
    """Tell whether an event says where it happened, if it is one of those that do."""
    places = event.get("epoch"), event.get("step")
    return event["event"] not in PLACED or None not in places


def _epoch_of(event: Event) -> int | None:
    """Return the epoch in whose row an event stands: the one after the last whole epoch for what began inside it."""
    if event["event"] == "checkpoint saved":
        return event["epoch"] + (1 if event["step"] else 0)
    return event["epoch"] + 1 if event["event"] == "resumed" else event.get("epoch")


def _observation(event: Event) -> str:
    match event["event"]:
        case "checkpoint saved":
            return "" if event["step"] else "checkpoint saved"
        case "resumed":
            return f"resumed from step {event['step']}" if event["step"] else f"resumed from epoch {event['epoch']}"
        case "skipped corrupt":
            return "skipped a corrupt checkpoint"
    return ""


def _description(event: Event) -> str:
    details = {name: value for name, value in event.items() if name not in {"time", "event"}}
    return ", ".join([str(event["event"]), *(f"{name} {value}" for name, value in details.items())])


def sparkline(values: list[float]) -> str:
    """Return a curve of at most LONGEST_CURVE bars, from the lowest to the highest value."""
    points = values[:: max(1, math.ceil(len(values) / LONGEST_CURVE))]
    finite = [value for value in points if math.isfinite(value)]
    low, span = min(finite, default=0.0), (max(finite, default=0.0) - min(finite, default=0.0)) or 1.0
    top = len(BARS) - 1
    return "".join(BARS[round((value - low) / span * top)] if math.isfinite(value) else " " for value in points)
