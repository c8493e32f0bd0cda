"""What the questions about runs at a glance answer: all of them, one, some side by side."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from unbroken.catalog.command import changed_settings, effective_defaults, train_command, train_words
from unbroken.catalog.comparison import Row, compare
from unbroken.catalog.lookup import run_folders
from unbroken.catalog.summary import RunFolder, RunSummary
from unbroken.cli.runs.files import show_checkpoints
from unbroken.cli.settings import project_settings
from unbroken.cli.terminal import FINE, as_text
from unbroken.reports.markdown import format_number
from unbroken.reports.pace import duration
from unbroken.reports.run import attempts, sparkline

NOTHING = "-"


def list_runs(runs: list[Path], details: Namespace, console: Console) -> int:
    """Print all runs, the newest first; the checkpoints of those that are named."""
    if runs and not details.json:
        return max(show_checkpoints(run, console) for run in runs)
    summaries = [RunFolder(path).summary() for path in runs or run_folders(details.runs_folder)]
    summaries.sort(key=lambda summary: summary.changed, reverse=True)
    if details.json:
        return _print_json(console, [dataclasses.asdict(summary) for summary in summaries])
    if not summaries:
        console.print(as_text(f"{details.runs_folder}: no run yet; begin with unbroken train"))
        return FINE
    now = datetime.now(UTC)
    table = Table("run", "state", "epochs", "data", "label", "model", "best", "size", "age", box=SIMPLE_HEAD)
    for summary in summaries:
        table.add_row(*_row(summary, now))
    console.print(table)
    return FINE


def show_run(runs: list[Path], details: Namespace, console: Console) -> int:
    """Print a run: its state, settings, epochs and attempts, and the command that means it."""
    folder = RunFolder(runs[0])
    summary, settings = folder.summary(), folder.config
    defaults = effective_defaults(project_settings("train"))
    command = train_command(train_words(settings, defaults))
    if details.json:
        content = dataclasses.asdict(summary) | {
            "settings": folder.settings,
            "history": folder.history,
            "command": command,
        }
        return _print_json(console, content)
    changed = ", ".join(f"{name} {value}" for name, value in changed_settings(settings, defaults).items())
    published = folder.run.published
    lines = {
        "run": f"{summary.key}" + (f"  ({summary.name})" if summary.name else ""),
        "state": f"{summary.state}, {_epochs(summary)} epochs, best {_best(summary)}",
        "data": f"{summary.source or NOTHING}, label {summary.label or NOTHING}",
        "model": summary.model or NOTHING,
        "settings": changed or "the defaults",
        "folder": f"{summary.folder}  ({decimal(summary.size)}, changed {summary.changed})",
        "checkpoint": str(published) if published.is_file() else "none published",
        "same run": command,
    }
    console.print(as_text(*(f"{name:<12}{value}" for name, value in lines.items())), soft_wrap=True)
    _print_history(folder, console)
    _print_rows(console, ["time (UTC)", "what happened"], attempts(folder.events))
    return FINE


def compare_runs(runs: list[Path], details: Namespace, console: Console) -> int:
    """Print runs side by side."""
    comparison = compare([RunFolder(path) for path in runs])
    if details.json:
        return _print_json(console, dataclasses.asdict(comparison))
    best = {f"{name} (best)": row for name, row in comparison.best.items()}
    curves = {f"{name} (curve)": tuple(map(sparkline, row)) for name, row in comparison.curves.items()}
    settings = {name: tuple(map(str, row)) for name, row in comparison.settings.items()}
    rows: dict[str, Row] = settings | {"epochs": comparison.epochs} | comparison.metrics | best | curves
    _print_rows(console, ["", *comparison.runs], [[name, *map(_cell, row)] for name, row in rows.items()])
    return FINE


def _row(summary: RunSummary, now: datetime) -> list[str]:
    age = now - datetime.fromisoformat(summary.changed)
    return [
        summary.name or summary.key,
        summary.state,
        _epochs(summary),
        Path(summary.source).name if summary.source else NOTHING,
        summary.label or NOTHING,
        summary.model or NOTHING,
        _best(summary),
        decimal(summary.size),
        duration(age.total_seconds()),
    ]


def _epochs(summary: RunSummary) -> str:
    return f"{summary.epochs}" + (f"/{summary.asked}" if summary.asked else "")


def _best(summary: RunSummary) -> str:
    if summary.best is None:
        return NOTHING
    return f"{summary.monitor} {format_number(summary.best)} (epoch {summary.best_epoch})"


def _print_history(folder: RunFolder, console: Console) -> None:
    names = [name for name in (folder.history[-1] if folder.history else {}) if name != "epoch"]
    rows = [[str(entry["epoch"]), *(_cell(entry.get(name)) for name in names)] for entry in folder.history]
    _print_rows(console, ["epoch", *(name.replace("_", "\n") for name in names)], rows)


def _print_rows(console: Console, heading: list[str], rows: list[list[str]]) -> None:
    table = Table(*heading, box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return NOTHING
    return format_number(value) if isinstance(value, float) else str(value)


def _print_json(console: Console, content: Any) -> int:
    console.out(json.dumps(content, indent=1), highlight=False)
    return FINE
