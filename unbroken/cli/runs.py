"""`unbroken runs`: look into what was saved. Nothing is changed."""

from collections.abc import Callable
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from unbroken.checkpoints.inspection import differences, entries, metrics_of, read_newest, verify_run
from unbroken.cli.terminal import FAULTY, FINE, as_text, make_console, report
from unbroken.errors import CorruptCheckpointError

WIDTH = 132


def add_arguments(_: str, parser: ArgumentParser) -> None:
    """Add what can be asked."""
    questions = parser.add_subcommands(dest="question", required=True)
    for name, (names, text) in ((name, question[1:]) for name, question in QUESTIONS.items()):
        subparser = ArgumentParser(prog=f"unbroken runs {name}", description=text, exit_on_error=False)
        questions.add_subcommand(name, subparser, help=text)
        for argument in names:
            subparser.add_argument(argument, type=Path, help=ARGUMENT)


def run(_: str, arguments: Namespace, __: Console) -> int:
    """Answer, and return 0 if all is fine, 1 if something is corrupt or differs; nothing is changed."""
    function, names, _ = QUESTIONS[arguments.question]
    try:
        return function(*(arguments[arguments.question][name] for name in names), make_console(WIDTH))
    except CorruptCheckpointError as error:
        report(error)
        return FAULTY


def _list(run: Path, console: Console) -> int:
    found = [(entry, metrics_of(entry)) for entry in entries(run)]
    names = next((list(metrics) for _, metrics in found if metrics), [])
    headings = [name.replace("_", "\n") for name in names]
    table = Table(Column("checkpoint", no_wrap=True), "epoch", "step", "bytes", *headings, box=SIMPLE_HEAD)
    for entry, metrics in found:
        values = ["corrupt"] if metrics is None else [f"{metrics.get(name, float('nan')):.4f}" for name in names]
        size = f"{entry.path.stat().st_size:,}"
        table.add_row(entry.path.name, str(entry.epoch), str(entry.step or ""), size, *values)
    console.print(table)
    return FAULTY if any(metrics is None for _, metrics in found) else FINE


def _verify(run: Path, console: Console) -> int:
    verdicts = list(verify_run(run))
    for verdict in verdicts:
        console.print(
            as_text(f"{'whole  ' if verdict.complaint is None else 'CORRUPT'} {verdict.path}"), soft_wrap=True
        )
        if verdict.complaint:
            console.print(as_text(f"        {verdict.complaint}"), soft_wrap=True)
    return FAULTY if any(verdict.complaint for verdict in verdicts) else FINE


def _diff(run: Path, other: Path, console: Console) -> int:
    found = differences(read_newest(run), read_newest(other))
    if not found:
        console.print("the same, to the bit")
        return FINE
    name, left, right = found[0]
    console.print(
        as_text(f"{len(found)} leaves differ, the first is {name}:", f"  {run}: {left}", f"  {other}: {right}"),
        soft_wrap=True,
    )
    return FAULTY


ARGUMENT = "The folder of a run, e.g. runs/0123456789abcdef, or, to compare, a checkpoint."
QUESTIONS: dict[str, tuple[Callable[..., int], tuple[str, ...], str]] = {
    "list": (_list, ("run",), "epochs, sizes and metrics of a run"),
    "verify": (_verify, ("run",), "check all digests of a run"),
    "diff": (_diff, ("run", "other"), "compare two checkpoints, or the newest ones of two runs, leaf by leaf"),
}
