"""What the questions that train or delete answer: a part of a run again, a new run from another one, no run any more."""

from datetime import UTC, datetime
from pathlib import Path

from jsonargparse import Namespace
from rich.console import Console
from rich.filesize import decimal

from unbroken.catalog.command import effective_defaults, train_command, train_words
from unbroken.catalog.lookup import run_folders
from unbroken.catalog.summary import RunFolder
from unbroken.cli.settings import project_settings
from unbroken.cli.terminal import FAULTY, FINE, as_text
from unbroken.errors import ConfigError


def replay_run(runs: list[Path], details: Namespace, console: Console) -> int:
    """Train again from a checkpoint, and print of each later one that the run kept whether the bytes are the same."""
    from unbroken.catalog.doctor import code_change  # noqa: PLC0415 (torch)
    from unbroken.catalog.replay import replay  # noqa: PLC0415 (torch)

    if change := code_change(RunFolder(runs[0])):
        console.print(as_text(f"other code: {change}"), soft_wrap=True)
    faulty = False
    for result in replay(runs[0].absolute(), details.epoch, details.step):
        leaves = result.differences
        console.print(
            as_text(f"{'the same bytes' if not leaves else 'OTHER BYTES   '}  {result.entry.path}"), soft_wrap=True
        )
        for name, kept, new in leaves[:1]:
            console.print(
                as_text(f"  {len(leaves)} leaves differ, the first is {name}: kept {kept}, now {new}"), soft_wrap=True
            )
        faulty = faulty or bool(leaves)
    return FAULTY if faulty else FINE


def fork_run(runs: list[Path], details: Namespace, console: Console) -> int:
    """Train a new run from an epoch of another one, by a command that is printed first."""
    from unbroken.catalog.fork import publish_epoch  # noqa: PLC0415 (torch)
    from unbroken.cli.main import answer  # noqa: PLC0415 (which imports this room's modules by name)

    for change in details["set"]:
        if "=" not in change:
            raise ConfigError(
                f"--set: found {change!r}, expected a setting and its value, e.g. training.learning_rate=0.001"
            )
    start = publish_epoch(runs[0].absolute(), details.epoch)
    settings = RunFolder(runs[0]).config
    changed = {change.partition("=")[0] for change in details["set"]}
    keep = "reset" if changed & {"training.optimizer", "training.optimizer_options"} else "keep"
    beginning = {"warm_from": start.path, "scaler": "keep", "optimizer": keep}
    words = train_words(
        settings | {"start": settings.get("start", {}) | beginning}, effective_defaults(project_settings("train"))
    )
    words += [f"--{change}" for change in details["set"]] + (["--name", details.name] if details.name else [])
    console.print(as_text(train_command(words)), soft_wrap=True)
    return answer(["train", *words])


def clean(runs: list[Path], details: Namespace, console: Console) -> int:
    """Print which runs may go and why others stay; with --yes they go."""
    from unbroken.catalog.cleaning import delete, judge, latest_change  # noqa: PLC0415

    others = run_folders(details.runs_folder)
    oldest = None if runs else latest_change(details.older_than_days, datetime.now(UTC))
    judgements = judge(runs or others, others, Path(details.models_folder or project_settings("retrain").get("models_folder", "models")), oldest)
    going = [judgement.summary for judgement in judgements if judgement.reason is None]
    for judgement in judgements:
        name = judgement.summary.name or judgement.summary.key
        if judgement.reason is not None and runs:
            console.print(as_text(f"stays    {name}: {judgement.reason}"), soft_wrap=True)
    for summary in going:
        if details.yes:
            delete(Path(summary.folder))
        line = f"{'deleted' if details.yes else 'may go':<9}{summary.name or summary.key}: {summary.state}, {decimal(summary.size)}"
        console.print(as_text(line), soft_wrap=True)
    total = decimal(sum(summary.size for summary in going))
    console.print(
        f"{len(going)} of {len(judgements)} runs, {total}"
        + ("" if details.yes or not going else "; delete them by --yes")
    )
    return FAULTY if runs and len(going) < len(judgements) else FINE
