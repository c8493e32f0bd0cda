"""The training as a person at a terminal sees it: the plan, the epoch table, and what came of it."""

from rich.console import Console
from rich.text import Text

from unbroken.cli.terminal import import_flow
from unbroken.config import Config
from unbroken.reports.run import RunReport
from unbroken.run import Run, delete_on_bad_input, open_run
from unbroken.stages import finished
from unbroken.stages.results import Restored
from unbroken.storage.journal import Journal


def show_training(config: Config, console: Console) -> None:
    """Print the plan, train unless that is done, print the epoch table and the outcome."""
    run = open_run(config)
    console.print(Text(plan(config, run)), soft_wrap=True)
    known = len(Journal(run.journal).events())
    restored = finished.load(run, config) or _train(config, run)
    report = RunReport.read(run)
    console.print(report.table())
    console.print(Text(outcome(config, restored, report, trained=len(report.events) > known)), soft_wrap=True)


def _train(config: Config, run: Run) -> Restored:
    train = import_flow("train")
    with delete_on_bad_input(run):
        return train(config)


def plan(config: Config, run: Run) -> str:
    """Return what will run, in one line each for data, model and run."""
    training = config.training
    options = f" {config.model.options}" if config.model.options else ""
    return (
        f"data   {config.data.source}\n"
        f"model  {config.model.factory}{options}, {training.optimizer} with learning rate "
        f"{training.learning_rate:g}, {training.epochs} epochs in batches of {training.batch_size}\n"
        f"run    {run.folder}"
    )


def outcome(config: Config, restored: Restored, report: RunReport, *, trained: bool) -> str:
    """Return what came of it, where it is and what to type next."""
    done = len(report.history)
    first = "" if trained else f"Nothing to do: this run is finished, {done} epochs are done.\n"
    return (
        f"{first}checkpoint  {restored.path}  (epoch {restored.epoch}, restored and verified)\n"
        f"sha256      {restored.digest}\n"
        f"train on    --training.epochs {config.training.epochs + 5}"
    )
