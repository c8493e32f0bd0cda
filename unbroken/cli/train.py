"""`unbroken train`: the plan, the epoch table, and what came of it."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from unbroken import pipeline
from unbroken.cli import dry_run
from unbroken.cli.flow import add_orchestrator_argument, choose_flow
from unbroken.cli.progress_bar import progress_bar
from unbroken.cli.settings import add_settings, project_file, settings_of
from unbroken.cli.terminal import FINE, as_text, shown_log, warnings_alone
from unbroken.config import Config
from unbroken.config.metrics import TREES
from unbroken.errors import DataError
from unbroken.parallel.place import Place
from unbroken.reports.advice import advise
from unbroken.reports.run import RunReport
from unbroken.run import Run, delete_on_bad_input, open_run
from unbroken.stages import finished
from unbroken.stages.results import Restored
from unbroken.storage.journal import Journal

TRY = "try         --model.factory tabm, which errs less on most tables, and takes longer"
SHORT, LEAST_MIB = 10, 0.1
"""Seconds below which a digit after the point counts, and the least memory that is told."""


def add_arguments(command: str, parser: ArgumentParser) -> None:
    """Add the settings of a training, and the name of the project, which stands among them in its file."""
    add_orchestrator_argument(parser)
    name = "Name of this folder's project on a Prefect server, for run.toml; UNBROKEN_PROJECT wins, the folder's is used if unset."
    parser.add_argument("--project", type=str, default="", help=name)
    dry = "Say what would be trained: columns, rows, and the memory and time they take; train and keep nothing."
    parser.add_argument("--dry-run", action="store_true", help=dry)
    add_settings(parser, Config, command)


def run(command: str, arguments: Namespace, console: Console) -> int:
    """Print the plan, train unless that is done, print the epoch table and the outcome."""
    config = settings_of(arguments, Config)
    if (place := Place.of(os.environ)) is not None:
        return _train_as_rank(config, place, console)
    with shown_log(console):
        run = open_run(config)
        console.print(as_text(*plan(config, run, project_file(command))), soft_wrap=True)
        if arguments.dry_run:
            return _dry_run(config, console)
        events = len(Journal(run.journal).events())
        restored = finished.load(run, config) or _train(
            config, run, console, orchestrated=not arguments.no_orchestrator
        )
    done = _where(run, restored)
    report = RunReport.read(done)
    console.print(report.table())
    trained = done.path != run.path or len(report.events) > events
    console.print(as_text(*outcome(config, restored, report, trained=trained)), soft_wrap=True)
    return FINE


def _train_as_rank(config: Config, place: Place, console: Console) -> int:
    """Train as one of the processes that torchrun or its like started; rank 0 alone prints."""
    from unbroken.parallel.gloo import joined  # noqa: PLC0415 (torch)

    if place.rank:
        with warnings_alone(), joined(place) as group:
            pipeline.run_ranks(config, group)
        return FINE
    with shown_log(console):
        console.print(f"ranks  {place.size}, without Prefect", soft_wrap=True)
        with progress_bar() as report, joined(place) as group:
            restored = pipeline.run_ranks(config, group, report)
        run = open_run(config)
        write_report(config, run, restored)
    run_report = RunReport.read(_where(run, restored))
    console.print(run_report.table())
    console.print(as_text(*outcome(config, restored, run_report, trained=True)), soft_wrap=True)
    return FINE


def _dry_run(config: Config, console: Console) -> int:
    with tempfile.TemporaryDirectory(prefix="unbroken-dry-run-") as folder:
        made = dry_run.Plan.make(config, Path(folder))
        shares = " / ".join(f"{rows:,} {part}" for part, rows in made.parts.items() if rows)
        console.print(as_text(f"split   {shares}"))
        with warnings_alone():
            try:
                lines = forecast(config, dry_run.measure(made, Path(folder)))
            except DataError as error:  # such as a class that none of the few rows has
                lines = [f"time    unknown: the rows that are measured by cannot stand for all: {error}"]
    console.print(as_text(*lines, "Nothing was trained, and nothing kept."), soft_wrap=True)
    return FINE


def forecast(config: Config, measured: dry_run.Measurement) -> list[str]:
    """Return what a training takes, in one line each for inputs, memory and time."""
    rows, limit = (number / (1 << 20) for number in (measured.row_bytes, measured.limit))
    where = "in memory" if rows <= limit else f"streamed from disk, since training.memory_limit is {limit:,.0f} MiB"
    epochs, seconds = config.chosen.epochs, measured.epoch_seconds
    total = f"{epochs * seconds:,.0f}" if epochs * seconds >= SHORT else f"{epochs * seconds:.2g}"
    most = "" if config.chosen.patience is None else " at most"
    return [
        f"inputs  {measured.numbers} numbers and {measured.categories} categories into {measured.parameters:,} parameters",
        f"memory  the rows take {max(rows, LEAST_MIB):,.1f} MiB, {where}",
        f"time    about {seconds:.2g} s an epoch on this machine, {epochs} epochs{most}: {total} s",
    ]


def _train(config: Config, run: Run, console: Console, *, orchestrated: bool) -> Restored:
    flow = choose_flow("train", console, orchestrated=orchestrated)
    with delete_on_bad_input(run):
        if flow is not None:
            return flow(config)
        with progress_bar() as report:
            restored = pipeline.run_stages(config, run, report)
    write_report(config, run, restored)
    return restored


def write_report(config: Config, run: Run, restored: Restored) -> None:
    """Write the page on a training that has just ended."""
    from unbroken.charts.report import write_report_or_warn  # noqa: PLC0415 (torch, which a finished run needs none of)

    write_report_or_warn(_where(run, restored), config)


def _where(run: Run, restored: Restored) -> Run:
    """Return the run that was trained: another one where the source was replaced meanwhile."""
    folder = Path(restored.path).parent
    return replace(run, key=folder.name, folder=str(folder))


def plan(config: Config, run: Run, file: str | None) -> list[str]:
    """Return what will run, in one line each for the project's file of settings, if it has one, data, model and run."""
    training, chosen = config.training, config.chosen
    options = f" {chosen.model.options}" if chosen.model.options else ""
    members = f"{training.members} x " if training.members > 1 else ""
    return [
        *([f"config {file}"] if file else []),
        f"data   {config.data.source}",
        f"model  {members}{chosen.model.factory}{options}, {training.optimizer} with learning rate "
        f"{training.learning_rate:g}, {chosen.epochs} epochs in batches of {training.batch_size}",
        *([f"ranks  {workers} on this machine"] if (workers := config.compute.workers) > 1 else []),
        f"run    {run.folder}",
        *(f"auto   {reason}" for reason in chosen.reasons),
    ]


def outcome(config: Config, restored: Restored, report: RunReport, *, trained: bool) -> list[str]:
    """Return what came of it, where it is and what to type next, in one line each."""
    done = len(report.history)
    return [
        *([] if trained else [f"Nothing to do: this run is finished, {done} epochs are done."]),
        *([f"test        {report.test_metrics()}  (scored once)"] if report.scored_once else []),
        *(f"to beat     {baseline}" for baseline in report.baselines()),
        *([f"sure        {report.calibration()}"] if report.calibration() else []),
        f"checkpoint  {restored.path}  (epoch {restored.epoch}, restored and verified)",
        f"sha256      {restored.digest}",
        *([TRY] if TREES in report.unbeaten() and config.chosen.model.factory == "mlp" else []),
        *([f"report      {page}"] if (page := Path(restored.path).with_name("report.html")).is_file() else []),
        f"train on    {advise(config, report.history, restored.step // restored.epoch)}",
    ]
