"""`unbroken sweep`: the plan, a line a trial, the table of the trials, and the best as a run."""

import json
import logging
import shlex
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from unbroken.cli.flow import add_orchestrator_argument, choose_flow
from unbroken.cli.progress_bar import progress_bar
from unbroken.cli.settings import add_settings, project_file, settings_of
from unbroken.cli.terminal import FINE, PlainConsole, as_text, shown_log, warnings_alone
from unbroken.config import Config
from unbroken.reports.markdown import format_number
from unbroken.sweeps.result import SweepResult, Trials
from unbroken.sweeps.settings import SweepConfig
from unbroken.sweeps.sweep import Sweep

TRIALS = "unbroken.sweeps"
"""Whose log is shown: that of each trial's epochs would be all that is seen."""


def add_arguments(command: str, parser: ArgumentParser) -> None:
    """Add the settings of a training, those of the sweep, and the name of the project, which stands among them in its file."""
    add_orchestrator_argument(parser)
    name = "Name of this folder's project on a Prefect server, for run.toml; UNBROKEN_PROJECT wins, the folder's is used if unset."
    parser.add_argument("--project", type=str, default="", help=name)
    parser.add_argument("--json", action="store_true", help="Print what came of it as JSON, and nothing else.")
    add_settings(parser, Config, command)
    parser.add_class_arguments(SweepConfig, "sweep", skip={"train"}, fail_untyped=True)


def run(command: str, arguments: Namespace, console: Console) -> int:
    """Print the plan, train the trials that are not over, print the table and the best."""
    config = replace(arguments.sweep, train=settings_of(arguments, Config))
    told = PlainConsole(stderr=True, markup=False, emoji=False) if arguments.json else console
    with _trials_log(told):
        sweep = Sweep.open(config)
        told.print(as_text(*plan(sweep, project_file(command))), soft_wrap=True)
        result = _run(config, told, orchestrated=not arguments.no_orchestrator)
    if arguments.json:
        print(Path(result.folder, sweep.result.name).read_text("utf-8"))
        return FINE
    trials = Trials.read(sweep)
    console.print(trials.table())
    console.print(as_text(*outcome(trials, result)), soft_wrap=True)
    return FINE


def _run(config: SweepConfig, console: Console, *, orchestrated: bool) -> SweepResult:
    flow = choose_flow("sweep", console, orchestrated=orchestrated)
    if flow is not None:
        return flow(config)
    from unbroken.sweeps.run import run_sweep  # noqa: PLC0415 (torch and Optuna)

    with progress_bar() as report:
        return run_sweep(config, report)


@contextmanager
def _trials_log(console: Console) -> Generator[None]:
    """Show a line a trial, and warnings; what each epoch says would hide them."""
    trials = logging.getLogger(TRIALS)
    level = trials.level
    with shown_log(console), warnings_alone():
        trials.setLevel(logging.INFO)
        try:
            yield
        finally:
            trials.setLevel(level)


def plan(sweep: Sweep, file: str | None) -> list[str]:
    """Return what will run, in one line each for the project's file of settings, the data, the space and the sweep."""
    config, train = sweep.config, sweep.config.train
    over = sum(trial < sweep.trials for trial in sweep.journal.read().outcomes)
    pruner = f", ended early by {config.pruner}" if config.pruner else ""
    return [
        *([f"config {file}"] if file else []),
        f"data   {train.data.source}",
        *(f"space  {name} {dimension}" for name, dimension in sweep.space.dimensions.items()),
        f"trials {sweep.trials} by {config.sampler}{pruner}, {config.workers} at a time, of at most {train.chosen.epochs} epochs",
        *([f"over   {over} of them"] if over else []),
        f"sweep  {sweep.folder}",
    ]


def outcome(trials: Trials, result: SweepResult) -> list[str]:
    """Return what came of it, where it is and what to type next, in one line each."""
    sweep, best = trials.sweep, trials.record.proposals[result.trial]
    tested = {name: value for name, value in result.metrics.items() if name.startswith("test_")}
    words = ", ".join(f"{name.replace('_', ' ')} {format_number(value)}" for name, value in tested.items())
    return [
        f"best        {result}",
        *(f"            {option}" for option in _options(sweep, best.settings)),
        f"test        {words}  (scored once, for the best alone)",
        f"run         {sweep.name}",
        f"checkpoint  {result.path}  (epoch {result.epoch}, restored and verified)",
        f"sha256      {result.digest}",
        *([f"report      {sweep.page}"] if sweep.page.is_file() else []),
        f"go on       --sweep.trials {2 * sweep.config.trials}",
    ]


def _options(sweep: Sweep, settings: dict[str, Any]) -> list[str]:
    """Return settings as they are typed after `unbroken train`."""
    config, fields = sweep.best_config(settings), dict.fromkeys(tuple(name.split(".")[:2]) for name in settings)
    values = {f"{group}.{field}": getattr(getattr(config, group), field) for group, field in fields}
    return [
        f"--{name} {shlex.quote(json.dumps(value)) if isinstance(value, dict | tuple) else value}"
        for name, value in values.items()
    ]
