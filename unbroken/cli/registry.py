"""`unbroken registry`: the decisions about a model's versions."""

import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table

from unbroken.cli.terminal import FINE, as_text, make_console
from unbroken.config import PredictConfig
from unbroken.config.validation import require_local_path
from unbroken.errors import RegistryError, ServerError
from unbroken.reports.bill import bill_bytes, bill_path
from unbroken.reports.card import ModelFacts, card_path, model_card
from unbroken.serving.registry import Pointer, Registry, Version, champion_path
from unbroken.serving.signature import public_key_of, require_signature, sign
from unbroken.serving.standing import predictions_in, version_folder
from unbroken.storage import atomic
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
        if action in (_promote, _rollback, _approve, _refuse):
            subparser.add_argument(
                "--predictions_folder",
                default="predictions",
                type=str,
                help="Where predictions lie that have no target.",
            )
        if action in (_promote, _approve, _refuse):
            subparser.add_argument("version", type=str, help="The beginning of its SHA-256.")
        if action in (_promote, _approve):
            subparser.add_argument(
                "--signing_key",
                default="",
                type=str,
                help="PEM file of the private key to sign it with; unset, an approval takes that of the round.",
            )
        if action is _verify:
            subparser.add_argument(
                "--public_key",
                default=None,
                type=str,
                help="PEM file of the key whose owner has to have signed the champion.",
            )
        if action in (_card, _bill):
            subparser.add_argument(
                "--version", default="", type=str, help="The beginning of its SHA-256; the champion's if unset."
            )
        if action is _deliver:
            text_of_drop = "Key of one that nobody is to be told of any more."
            subparser.add_argument("--drop", default="", type=str, help=text_of_drop)
        actions.add_subcommand(name, subparser, help=text)


def run(_: str, arguments: Namespace, __: Console) -> int:
    """Print every decision, make another version the champion and print which, or tell others of decisions."""
    require_local_path("models_folder", arguments.models_folder)
    details = arguments[arguments.action]
    ACTIONS[arguments.action][0](Registry(Path(arguments.models_folder) / details.model), details)
    return FINE


def _history(registry: Registry, _: Namespace) -> None:
    make_console(WIDTH).print(history_table(registry.history()))


def _rollback(registry: Registry, details: Namespace) -> None:
    _say_champion(registry, registry.rollback(), details)


def _promote(registry: Registry, details: Namespace) -> None:
    if details.signing_key:
        sign(Path(registry.version(details.version).path), Path(details.signing_key))
    _say_champion(registry, registry.promote(details.version), details)


def _deliver(registry: Registry, details: Namespace) -> None:
    """Drop what nobody is to be told of any more, and tell the rest."""
    outbox = registry.outbox()
    pending = [intent.key for intent in outbox.pending()]
    if details.drop and details.drop not in pending:
        raise RegistryError(f"{outbox.path}: found nothing pending named {details.drop!r}, expected {_keys(pending)}")
    if details.drop:
        outbox.finish(details.drop)
    _tell(registry)


def _approve(registry: Registry, details: Namespace) -> None:
    """Sign and promote a version that awaits approval, and tell whoever is to be told; once more, only the latter."""
    version = registry.version(details.version)
    if registry.pointer.champion != version.digest:
        if key := details.signing_key or registry.waiting(version.digest).get("signing_key"):
            sign(Path(version.path), Path(key))
        registry.approve(version.digest)
    _say_standing(registry, version.digest, details)
    _tell(registry)


def _refuse(registry: Registry, details: Namespace) -> None:
    """Keep the champion in place of a version that awaits approval, and tell whoever is to be told."""
    champion = registry.refuse(details.version).champion
    if champion:
        _say_standing(registry, champion, details)
    _tell(registry)


def _tell(registry: Registry) -> None:
    """Tell whoever was not told of a decision yet, and print who that was and who is left."""
    from unbroken.integrations.effects import tracking_effects  # noqa: PLC0415
    from unbroken.orchestration.notification import terminal_effects  # noqa: PLC0415 (Prefect)

    outbox = registry.outbox()
    pending = [intent.key for intent in outbox.pending()]
    failures = outbox.deliver(tracking_effects(registry) | terminal_effects(registry)) if pending else []
    left = {intent.key for intent in outbox.pending()}
    lines = f"told     {_keys(key for key in pending if key not in left)}", f"pending  {_keys(left)}", *failures
    make_console(WIDTH).print(as_text(*lines), soft_wrap=True)


def _verify(registry: Registry, details: Namespace) -> None:
    """Verify the digests of every version and the signature of the champion, and print what was verified."""
    champion, versions = champion_path(registry.folder), registry.versions()
    lines = [f"whole    {len(versions)} versions, each with the SHA-256 of its name"]
    if key := public_key_of(details.public_key, champion):
        require_signature(champion, champion.stem, key)
        lines.append(f"signed   the champion {champion.stem}, by the owner of {key}")
    make_console(WIDTH).print(as_text(*lines), soft_wrap=True)


def _card(registry: Registry, details: Namespace) -> None:
    """Write the model card of a version beside its checkpoint, and print where."""
    version, facts = _facts(registry, details.version)
    _write(card_path(version), model_card(facts).encode())


def _bill(registry: Registry, details: Namespace) -> None:
    """Write the bill of materials of a version beside its checkpoint, and print where."""
    version, facts = _facts(registry, details.version)
    _write(bill_path(version), bill_bytes(facts))


def _facts(registry: Registry, digest: str) -> tuple[Version, ModelFacts]:
    version = registry.version(digest or champion_path(registry.folder).stem)
    return version, ModelFacts.of(registry, version)


def _write(path: Path, content: bytes) -> None:
    atomic.write(path, content)
    make_console(WIDTH).print(as_text(f"written  {path}"), soft_wrap=True)


def _keys(keys: Iterable[str]) -> str:
    return ", ".join(sorted(keys)) or "nothing"


def _say_champion(registry: Registry, pointer: Pointer, details: Namespace) -> None:
    """Print which champion and which of its predictions stand now, tell the server, and say so."""
    _say_standing(registry, pointer.champions[-1], details)
    make_console(WIDTH).print(as_text(f"server       {_tell_server(registry)}"), soft_wrap=True)


def _say_standing(registry: Registry, champion: str, details: Namespace) -> None:
    """Print which champion and which of its predictions stand now."""
    config = PredictConfig(model=str(registry.folder), predictions_folder=details.predictions_folder)
    folder = version_folder(config, champion)
    standing = [
        f"predictions  {folder / manifest.predictions.path}  ({manifest.predictions.rows:,} rows of {manifest.source})"
        for manifest in predictions_in(folder)
    ] or [f"predictions  none of it in {folder}"]
    lines = as_text(f"{registry.folder.name}: the champion is {champion}", *standing)
    make_console(WIDTH).print(lines, soft_wrap=True)


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
    "approve": (_approve, "make a version that awaits approval the champion"),
    "refuse": (_refuse, "keep the champion in place of a version that awaits approval"),
    "verify": (_verify, "verify every version, and that the champion is signed if a public key is set"),
    "card": (_card, "write the model card of a version beside its checkpoint"),
    "bom": (_bill, "write the bill of materials of a version beside its checkpoint: CycloneDX, with a model card"),
    "deliver": (_deliver, "tell MLflow, the Prefect server and its blocks of decisions that they were not told of yet"),
}
