"""What a Prefect server brings about of a decision: an event starts the scoring, a notification block tells people."""

import inspect

import httpx
from prefect.blocks.core import Block
from prefect.blocks.notifications import NotificationBlock
from prefect.runtime import flow_run
from prefect.utilities.asyncutils import run_coro_as_sync

from unbroken.config import NotifyConfig, RetrainConfig
from unbroken.errors import BlockedError, ConfigError, ServerError
from unbroken.orchestration.announcement import announce, use_server
from unbroken.retraining.effects import EVENT, NOTIFICATION, deliver, intend_refusal
from unbroken.retraining.new_data import registry_of
from unbroken.serving.registry import Registry
from unbroken.storage.outbox import Effect, Intent


def require_block(config: NotifyConfig) -> None:
    """Raise ConfigError unless the block that is to be told, if one is, is there and can be told."""
    if config.block:
        _load(config.block)


def page() -> str | None:
    """Return the URL of the flow run, None outside of one."""
    return flow_run.ui_url


def prefect_effects(registry: Registry) -> dict[str, Effect]:
    """Return what tells the Prefect server, by the kind of the effect.

    The server keeps one event of a key. A block cannot be asked what it has sent: it is told again where a process died after
    it was told and before that was written down, with the same key in the text.
    """
    return {EVENT: lambda intent: announce(registry, intent.key), NOTIFICATION: _notify}


def terminal_effects(registry: Registry) -> dict[str, Effect]:
    """Return the same for a process at a terminal: nothing where its settings name no server."""
    return prefect_effects(registry) if use_server() else {}


def tell_refusal(error: BlockedError, config: RetrainConfig) -> None:
    """Tell that new data were blocked, once."""
    intend_refusal(error, config, page())
    registry = registry_of(config)
    deliver(registry, prefect_effects(registry))


def notify(block: str, subject: str, body: str, key: str) -> None:
    """Tell a block, its key at the end of the text; raise ServerError, without what may be secret, if that fails."""
    loaded = _load(block)
    try:
        with loaded.raise_on_failure():
            sent: object = loaded.notify(f"{body}\nkey: {key}", subject)
            if inspect.iscoroutine(sent):  # a block may know no other way
                run_coro_as_sync(sent)
    except httpx.HTTPStatusError as error:
        raise ServerError(f"{block}: the receiver answered {error.response.status_code}") from None
    except Exception as error:  # each type of block has its own, and a message may hold a URL that is a secret
        raise ServerError(f"{block}: cannot be told: {type(error).__name__}") from None


def _notify(intent: Intent) -> None:
    details = intent.details
    notify(details["block"], details["subject"], details["body"], intent.key)


def _load(name: str) -> NotificationBlock:
    try:
        block = Block.load(name)
    except ValueError as error:  # what Prefect raises for a block that is not there, and a type that it does not know
        raise ConfigError(
            f"notify.block: found {name!r}, expected the type and name of a block of this server: {error}. Make it in the UI "
            "under Blocks, or leave the setting out"
        ) from None
    if not isinstance(block, NotificationBlock):
        raise ConfigError(f"notify.block: found {name!r}, which is no notification block")
    return block
