"""Look into what was saved."""

import argparse
import sys
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from unbroken.checkpoints.inspection import differences, entries, metrics_of, read_newest, verify_run
from unbroken.errors import CorruptCheckpointError, UnbrokenError

FINE, FAULTY, USER_ERROR = 0, 1, 2
WIDTH = 132


def main(arguments: list[str]) -> int:
    """Answer a command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m unbroken.inspect", description=(__doc__ or "").partition("\n\n")[2]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("list", "epochs, sizes and metrics of a run"), ("verify", "check all digests of a run")):
        commands.add_parser(name, help=text).add_argument("run", type=Path, metavar="RUN")
    compare = commands.add_parser("diff", help="compare two checkpoints, or the newest ones of two runs, leaf by leaf")
    compare.add_argument("run", type=Path, metavar="RUN")
    compare.add_argument("other", type=Path, metavar="OTHER")
    given = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    answers = {"list": _list, "verify": _verify, "diff": _diff}
    try:
        return answers[given.command](given, console)
    except CorruptCheckpointError as error:
        return _fail(error, FAULTY)
    except (UnbrokenError, OSError) as error:
        return _fail(error, USER_ERROR)


def _list(given: argparse.Namespace, console: Console) -> int:
    found = [(entry, metrics_of(entry)) for entry in entries(given.run)]
    names = next((list(metrics) for _, metrics in found if metrics), [])
    headings = [name.replace("_", "\n") for name in names]
    table = Table(Column("checkpoint", no_wrap=True), "epoch", "step", "bytes", *headings, box=SIMPLE_HEAD)
    for entry, metrics in found:
        values = ["corrupt"] if metrics is None else [f"{metrics.get(name, float('nan')):.4f}" for name in names]
        size = f"{entry.path.stat().st_size:,}"
        table.add_row(entry.path.name, str(entry.epoch), str(entry.step or ""), size, *values)
    console.print(table)
    return FAULTY if any(metrics is None for _, metrics in found) else FINE


def _verify(given: argparse.Namespace, console: Console) -> int:
    verdicts = list(verify_run(given.run))
    for verdict in verdicts:
        console.print(Text(f"{'whole  ' if verdict.complaint is None else 'CORRUPT'} {verdict.path}"))
        if verdict.complaint:
            console.print(Text(f"        {verdict.complaint}"))
    return FAULTY if any(verdict.complaint for verdict in verdicts) else FINE


def _diff(given: argparse.Namespace, console: Console) -> int:
    found = differences(read_newest(given.run), read_newest(given.other))
    if not found:
        console.print("the same, to the bit")
        return FINE
    name, left, right = found[0]
    console.print(
        Text(f"{len(found)} leaves differ, the first is {name}:\n  {given.run}: {left}\n  {given.other}: {right}")
    )
    return FAULTY


def _fail(error: Exception, code: int) -> int:
    Console(stderr=True, width=WIDTH).print(Text(f"error: {error}"))
    return code
