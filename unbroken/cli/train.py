"""`unbroken train`: the plan, the epoch table, and what came of it."""

from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from unbroken import pipeline
from unbroken.cli.flow import add_orchestrator_argument, choose_flow
from unbroken.cli.progress_bar import progress_bar
from unbroken.cli.settings import add_settings, project_file, settings_of
from unbroken.cli.terminal import FINE, as_text, show_log
from unbroken.config import Config
from unbroken.reports.advice import advise
from unbroken.reports.run import RunReport
from unbroken.run import Run, delete_on_bad_input, open_run
from unbroken.stages import finished
from unbroken.stages.results import Restored
from unbroken.storage.journal import Journal


def add_arguments(command: str, parser: ArgumentParser) -> None:
    """Add the settings of a training, and the name of the project, which stands among them in its file."""
    add_orchestrator_argument(parser)
    name = "Name of this folder's project on a Prefect server, for run.toml; UNBROKEN_PROJECT wins, the folder's is used if unset."
    parser.add_argument("--project", type=str, default="", help=name)
    add_settings(parser, Config, command)


def run(command: str, arguments: Namespace, console: Console) -> int:
    """Print the plan, train unless that is done, print the epoch table and the outcome."""
    show_log(console)
    config = settings_of(arguments, Config)
    run = open_run(config)
    console.print(as_text(*plan(config, run, project_file(command))), soft_wrap=True)
    events = len(Journal(run.journal).events())
    restored = finished.load(run, config) or _train(config, run, console, orchestrated=not arguments.no_orchestrator)
    folder = Path(restored.path).parent
    report = RunReport.read(replace(run, key=folder.name, folder=str(folder)))
    console.print(report.table())
    trained = folder != run.path or len(report.events) > events
    console.print(as_text(*outcome(config, restored, report, trained=trained)), soft_wrap=True)
    return FINE


def _train(config: Config, run: Run, console: Console, *, orchestrated: bool) -> Restored:
    flow = choose_flow("train", console, orchestrated=orchestrated)
    with delete_on_bad_input(run):
        if flow is not None:
            return flow(config)
        with progress_bar() as report:
            return pipeline.run_stages(config, run, report)


def plan(config: Config, run: Run, file: str | None) -> list[str]:
    """Return what will run, in one line each for the project's file of settings, if it has one, data, model and run."""
    training = config.training
    options = f" {config.model.options}" if config.model.options else ""
    return [
        *([f"config {file}"] if file else []),
        f"data   {config.data.source}",
        f"model  {config.model.factory}{options}, {training.optimizer} with learning rate "
        f"{training.learning_rate:g}, {training.epochs} epochs in batches of {training.batch_size}",
        f"run    {run.folder}",
    ]


def outcome(config: Config, restored: Restored, report: RunReport, *, trained: bool) -> list[str]:
    """Return what came of it, where it is and what to type next, in one line each."""
    done = len(report.history)
    return [
        *([] if trained else [f"Nothing to do: this run is finished, {done} epochs are done."]),
        f"checkpoint  {restored.path}  (epoch {restored.epoch}, restored and verified)",
        f"sha256      {restored.digest}",
        f"train on    {advise(config, report.history, restored.step // restored.epoch)}",
    ]
