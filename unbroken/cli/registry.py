"""`unbroken registry`: the decisions about a model's versions."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table

from unbroken.cli.terminal import FINE, as_text, make_console
from unbroken.config import PredictConfig
from unbroken.config.validation import require_local_path
from unbroken.errors import ServerError
from unbroken.serving.registry import Pointer, Registry
from unbroken.serving.standing import predictions_in, version_folder
from unbroken.storage.journal import Event

WIDTH = 180
NAMES = ("champion", "challenger")


def history_table(events: list[Event]) -> Table:
    """Return the audit log as a table for a person."""
    shown = Table("time", "data", "rows", "metric", "champion", "challenger", "gain, interval", "decision", box=None)
    for event in events:
        scores = event.get("scores")
        numbers = _numbers(scores) if scores else ["", "", *((event.get(name) or "")[:8] for name in NAMES), ""]
        decision = f"{event['event']}: {event['reason']}" if event.get("reason") else event["event"]
        shown.add_row(*map(as_text, [event["time"][:19], str(event.get("data", "")), *numbers, decision]))
    return shown


def _numbers(scores: dict[str, Any]) -> list[str]:
    gain = f"{scores['gain']:+.4f}, {scores['low']:+.4f} .. {scores['high']:+.4f}"
    return [f"{scores['rows']:,}", scores["metric"], *(f"{scores[name]:.4f}" for name in NAMES), gain]


def add_arguments(_: str, parser: ArgumentParser) -> None:
    """Add what can be asked or done."""
    parser.add_argument("--models_folder", default="models", type=str, help="Folder of the models.")
    actions = parser.add_subcommands(dest="action", required=True)
    for name, (action, text) in ACTIONS.items():
        subparser = ArgumentParser(prog=f"unbroken registry {name}", description=text, exit_on_error=False)
        subparser.add_argument("model", type=str, help="Name of the model.")
        if action is not _history:
            subparser.add_argument(
                "--predictions_folder",
                default="predictions",
                type=str,
                help="Where predictions lie that have no target.",
            )
        if action is _promote:
            subparser.add_argument("version", type=str, help="The beginning of its SHA-256.")
        actions.add_subcommand(name, subparser, help=text)


def run(_: str, arguments: Namespace, __: Console) -> int:
    """Print every decision, or make another version the champion and print which."""
    require_local_path("models_folder", arguments.models_folder)
    details = arguments[arguments.action]
    ACTIONS[arguments.action][0](Registry(Path(arguments.models_folder) / details.model), details)
    return FINE


def _history(registry: Registry, _: Namespace) -> None:
    make_console(WIDTH).print(history_table(registry.history()))


def _rollback(registry: Registry, details: Namespace) -> None:
    _say_champion(registry, registry.rollback(), details)


def _promote(registry: Registry, details: Namespace) -> None:
    _say_champion(registry, registry.promote(details.version), details)


def _say_champion(registry: Registry, pointer: Pointer, details: Namespace) -> None:
    """Print which champion and which of its predictions stand now, tell the server, and say so."""
    champion, config = (
        pointer.champions[-1],
        PredictConfig(model=str(registry.folder), predictions_folder=details.predictions_folder),
    )
    folder = version_folder(config, champion)
    standing = [
        f"predictions  {folder / manifest.predictions.path}  ({manifest.predictions.rows:,} rows of {manifest.source})"
        for manifest in predictions_in(folder)
    ] or [f"predictions  none of it in {folder}"]
    console = make_console(WIDTH)
    console.print(as_text(f"{registry.folder.name}: the champion is {champion}", *standing), soft_wrap=True)
    console.print(as_text(f"server       {_tell_server(registry)}"), soft_wrap=True)


def _tell_server(registry: Registry) -> str:
    from unbroken.orchestration.announcement import announce_from_terminal  # noqa: PLC0415 (Prefect)

    by_hand = f"score by: unbroken predict --model {shlex.quote(str(registry.folder))}"
    try:
        url = announce_from_terminal(registry)
    except ServerError as error:
        return f"not told; {by_hand}. {error}"
    return f"{url} is told, its deployment `champion` scores" if url else f"none is set (PREFECT_API_URL); {by_hand}"


ACTIONS: dict[str, tuple[Callable[[Registry, Namespace], None], str]] = {
    "history": (_history, "print every decision"),
    "rollback": (_rollback, "make the previous champion the champion again"),
    "promote": (_promote, "make a version the champion by hand"),
}
