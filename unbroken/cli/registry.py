"""The decisions about a model's versions."""

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from unbroken.errors import UnbrokenError
from unbroken.serving.registry import Registry
from unbroken.storage.journal import Event

WIDE = 180
NAMES = ("champion", "challenger")


def history_table(events: list[Event]) -> Table:
    """Return the audit log as a table for a person."""
    shown = Table("time", "data", "rows", "metric", "champion", "challenger", "gain, interval", "decision", box=None)
    for event in events:
        scores = event.get("scores")
        numbers = _numbers(scores) if scores else ["", "", *((event.get(name) or "")[:8] for name in NAMES), ""]
        decision = f"{event['event']}: {event['reason']}" if event.get("reason") else event["event"]
        shown.add_row(*map(Text, [event["time"][:19], str(event.get("data", "")), *numbers, decision]))
    return shown


def _numbers(scores: dict[str, Any]) -> list[str]:
    gain = f"{scores['gain']:+.4f}, {scores['low']:+.4f} .. {scores['high']:+.4f}"
    return [f"{scores['rows']:,}", scores["metric"], *(f"{scores[name]:.4f}" for name in NAMES), gain]


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit code: 0 done, 2 the user can mend it."""
    parser = argparse.ArgumentParser(prog="python -m unbroken.registry", allow_abbrev=False)
    parser.add_argument("--models_folder", default="models", type=Path, help="Folder of the models (default: models).")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help in (("history", "print every decision"), ("rollback", "make the champion before reign again")):
        commands.add_parser(name, help=help).add_argument("model")
    promote = commands.add_parser("promote", help="make a version the champion by hand")
    promote.add_argument("model")
    promote.add_argument("version", help="the beginning of its SHA-256")
    given = parser.parse_args(arguments)
    registry = Registry(given.models_folder / given.model)
    try:
        if given.command == "history":
            Console(width=None if sys.stdout.isatty() else WIDE).print(history_table(registry.history()))
            return 0
        pointer = registry.rollback() if given.command == "rollback" else registry.promote(given.version)
    except UnbrokenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{given.model}: the champion is {pointer.champions[-1]}")
    return 0
