"""`unbroken runs`: what was trained, how it went, and whether it is whole. Each question says if it changes anything."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from unbroken.catalog.lookup import find_run
from unbroken.cli.runs import changes, files, tables
from unbroken.cli.settings import project_settings
from unbroken.cli.terminal import FAULTY, make_console, report
from unbroken.errors import ConfigError, CorruptCheckpointError

WIDTH = 150


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option of a question."""

    name: str
    kind: Any
    default: Any
    text: str
    aliases: tuple[str, ...] = ()


EPOCH = Option(name="epoch", kind=int | None, default=None, text="The epoch to begin with, as it is kept.")
STEP = Option(
    name="step", kind=int, default=0, text="The step of a checkpoint inside the next epoch; 0 for the end of the epoch."
)
CHANGES = Option(name="set", kind=str, default=[], text="Settings that are other ones, each as name=value.")
NAME = Option(name="name", kind=str | None, default=None, text="A name for the new run.")
DAYS = Option(
    name="older_than_days", kind=float, default=30.0, text="Days since a run that is not named was last written to."
)
MODELS = Option(
    name="models_folder",
    kind=str | None,
    default=None,
    text="Folder of the models; that of the project's retrain.toml, or `models`, when not given.",
)
FACTORY = Option(
    name="factory",
    kind=str | None,
    default=None,
    text="What builds the model, if it is your own and you trust it: package.module:function.",
)
YES = Option(name="yes", kind=bool, default=False, text="Delete them.")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What can be asked: the function that answers, how many runs it is about, and further words and options."""

    answer: Callable[[list[Path], Namespace, Console], int]
    runs: int | str
    text: str
    word: str | None = None
    """A further word."""
    options: tuple[Option, ...] = ()
    json: bool = False
    """Whether it can answer as JSON."""


QUESTIONS = {
    "list": Question(
        answer=tables.list_runs,
        runs="*",
        json=True,
        text="all runs, the newest first; of runs that are named, their checkpoints with their metrics",
    ),
    "show": Question(
        answer=tables.show_run,
        runs=1,
        json=True,
        text="settings, epochs and attempts of a run, and the command that means it",
    ),
    "compare": Question(
        answer=tables.compare_runs,
        runs="+",
        json=True,
        text="runs side by side: the settings that differ, metrics and curves",
    ),
    "report": Question(
        answer=files.report_run,
        runs=1,
        options=(FACTORY,),
        text="write report.html into a run's folder: is it good, where is it bad, what drives it, what happened",
    ),
    "replay": Question(
        answer=changes.replay_run,
        runs=1,
        options=(EPOCH, STEP),
        text="train again from a checkpoint that a run kept, and compare the bytes of those after it",
    ),
    "fork": Question(
        answer=changes.fork_run,
        runs=1,
        options=(replace(EPOCH, aliases=("--from",)), CHANGES, NAME),
        text="train a new run from an epoch of another one, with settings changed, e.g. --set training.learning_rate=0.001",
    ),
    "doctor": Question(answer=files.doctor, runs="*", text="what is wrong with runs, and the way out"),
    "clean": Question(
        answer=changes.clean,
        runs="*",
        options=(DAYS, MODELS, YES),
        text="delete runs that are named, or old; without --yes it only says which",
    ),
    "name": Question(answer=files.name_run, runs=1, word="new_name", text="give a run a name"),
    "verify": Question(answer=files.verify, runs=1, text="check all digests of a run"),
    "diff": Question(
        answer=files.diff, runs=2, text="compare two checkpoints, or the newest ones of two runs, leaf by leaf"
    ),
}
RUN = "A run: its name, its key or the beginning of that, or its folder; to compare bytes, also a checkpoint."


def add_arguments(_: str, parser: ArgumentParser) -> None:
    """Add what can be asked; where nothing is asked, it is `list`."""
    _add_options(parser, json=True)
    questions = parser.add_subcommands(dest="question", required=False)
    for name, question in QUESTIONS.items():
        subparser = ArgumentParser(prog=f"unbroken runs {name}", description=question.text, exit_on_error=False)
        subparser.add_argument("runs", type=str, nargs=question.runs, help=RUN)
        _add_words(subparser, question)
        _add_options(subparser, json=question.json)
        questions.add_subcommand(name, subparser, help=question.text)


def run(_: str, arguments: Namespace, __: Console) -> int:
    """Answer, and return 0 if all is fine, 1 if something is corrupt or differs."""
    question = arguments.question or "list"
    details = arguments[question] if arguments.question else Namespace(runs=[], json=arguments.json)
    folder = Path(
        details.get("runs_folder") or arguments.runs_folder or project_settings("train").get("runs_folder", "runs")
    )
    details["runs_folder"] = folder
    try:
        runs = [_path(word, folder) for word in details.runs]
        return QUESTIONS[question].answer(runs, details, make_console(WIDTH))
    except CorruptCheckpointError as error:
        report(error)
        return FAULTY


def _add_words(parser: ArgumentParser, question: Question) -> None:
    if question.word:
        parser.add_argument(question.word, type=str)
    for option in question.options:
        how = {"action": "store_true"} if option.kind is bool else {"type": option.kind, "default": option.default}
        how |= {"nargs": "+"} if option.default == [] else {}
        parser.add_argument(f"--{option.name}", *option.aliases, help=option.text, **how)


def _add_options(parser: ArgumentParser, *, json: bool) -> None:
    text = "Folder of the runs; that of the project's run.toml, or `runs`, when not given."
    parser.add_argument("--runs_folder", type=str, default=None, help=text)
    if json:
        parser.add_argument("--json", action="store_true", help="Answer as JSON, for scripts.")


def _path(word: str, runs_folder: Path) -> Path:
    """Return the folder of the run that a word means; a path to anything else as it is, for whoever reads it to judge."""
    try:
        return find_run(word, runs_folder)
    except ConfigError:
        if Path(word).exists() or "/" in word:
            return Path(word)
        raise
