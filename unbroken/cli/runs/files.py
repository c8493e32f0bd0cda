"""What the questions about the files of runs answer: whether they are whole and equal; and a run's name."""

from pathlib import Path

from jsonargparse import Namespace
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from unbroken.catalog.lookup import run_folders
from unbroken.catalog.summary import RunFolder
from unbroken.cli.terminal import FAULTY, FINE, as_text
from unbroken.errors import ConfigError
from unbroken.run_name import give_name


def show_checkpoints(run: Path, console: Console) -> int:
    """Print the checkpoints of a run, newest first, with their sizes and metrics."""
    from unbroken.checkpoints.inspection import entries, metrics_of  # noqa: PLC0415 (torch)

    checkpoints = [(entry, metrics_of(entry)) for entry in entries(run)]
    names = next((list(metrics) for _, metrics in checkpoints if metrics), [])
    headings = [name.replace("_", "\n") for name in names]
    table = Table(Column("checkpoint", no_wrap=True), "epoch", "step", "bytes", *headings, box=SIMPLE_HEAD)
    for entry, metrics in checkpoints:
        values = ["corrupt"] if metrics is None else [f"{metrics.get(name, float('nan')):.4f}" for name in names]
        size = f"{entry.path.stat().st_size:,}"
        table.add_row(entry.path.name, str(entry.epoch), str(entry.step or ""), size, *values)
    console.print(table)
    return FAULTY if any(metrics is None for _, metrics in checkpoints) else FINE


def verify(runs: list[Path], _: Namespace, console: Console) -> int:
    """Print of each file of a run that has a digest whether it is whole."""
    from unbroken.checkpoints.inspection import verify_run  # noqa: PLC0415 (torch)

    statuses = list(verify_run(runs[0]))
    for status in statuses:
        word = "whole  " if status.complaint is None else "CORRUPT"
        console.print(as_text(f"{word} {status.path}"), soft_wrap=True)
        if status.complaint:
            console.print(as_text(f"        {status.complaint}"), soft_wrap=True)
    return FAULTY if any(status.complaint for status in statuses) else FINE


def report_run(runs: list[Path], details: Namespace, console: Console) -> int:
    """Write the report of a run as one page of HTML, and print where it is."""
    from unbroken.charts.report import write_report  # noqa: PLC0415 (torch)

    folder = RunFolder(runs[0].absolute())
    if not folder.run.published.is_file():
        raise ConfigError(
            f"{folder.path}: found no checkpoint.pth; a report is of a run that has published one: train it"
        )
    path = write_report(folder.run, str(folder.settings.get("training.device", "cpu")), details.factory)
    console.print(as_text(str(path)), soft_wrap=True)
    return FINE


def diff(runs: list[Path], _: Namespace, console: Console) -> int:
    """Print the first leaf in which two checkpoints differ, and how many do."""
    from unbroken.checkpoints.inspection import differences, read_newest  # noqa: PLC0415 (torch)

    run, other = runs
    leaves = differences(read_newest(run), read_newest(other))
    if not leaves:
        console.print("the same, to the bit")
        return FINE
    name, left, right = leaves[0]
    lines = [f"{len(leaves)} leaves differ, the first is {name}:", f"  {run}: {left}", f"  {other}: {right}"]
    console.print(as_text(*lines), soft_wrap=True)
    return FAULTY


def doctor(runs: list[Path], details: Namespace, console: Console) -> int:
    """Print what is wrong with runs, all of them where none is named, and return 1 if something of one is lost."""
    from unbroken.catalog.doctor import examine  # noqa: PLC0415 (torch)

    folders = runs or run_folders(details.runs_folder)
    complaints = list(examine(folders, details.runs_folder))
    for complaint in complaints:
        console.print(as_text(f"{'note  ' if complaint.harmless else 'FAULTY'} {complaint}"), soft_wrap=True)
    faults = sum(not complaint.harmless for complaint in complaints)
    console.print(f"{len(folders)} runs examined: {faults} faults, {len(complaints) - faults} notes")
    return FAULTY if faults else FINE


def name_run(runs: list[Path], details: Namespace, console: Console) -> int:
    """Give a run another name."""
    give_name(runs[0], details.new_name)
    console.print(as_text(f"{runs[0].name} is now called {details.new_name}"))
    return FINE
