"""What follows of a decision in the world outside: who is told of it, each once, though processes die on the way.

The intents are written with the decision, by the same rename; `deliver` has them, at the end of the round, or at the beginning
of the next where the process died before.
"""

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

from unbroken.config import RetrainConfig
from unbroken.errors import BlockedError
from unbroken.retraining.gate import Verdict
from unbroken.retraining.new_data import Cycle, registry_of
from unbroken.serving.registry import AWAITS, Registry
from unbroken.storage.outbox import Effect, Intent

log = logging.getLogger(__name__)

EVENT, MLFLOW, NOTIFICATION = "event", "mlflow", "notification"
"""Kinds of effects: a Prefect server starts the scoring, MLflow moves its alias, a notification block tells people."""


Effects = dict[str, dict[str, Any]]
"""The details of effects, by their kinds."""


def effects_of(verdict: Verdict, cycle: Cycle, config: RetrainConfig, page: str | None) -> Effects:
    """Return what follows of a decision of the gate alone.

    Args:
        verdict: What it said.
        cycle: The new files.
        config: Names the model and who is to be told.
        page: The URL of the flow run; None without Prefect.
    """
    body = f"{cycle.data}: {verdict}"
    return _promotion(config, body, page) if verdict.promote else _told(config, "the champion stays", body, page)


def approval_effects(
    verdict: Verdict, cycle: Cycle, challenger: str, config: RetrainConfig, page: str | None
) -> dict[str, Any]:
    """Return what follows where a winner awaits approval: at once, and when it is approved or refused.

    Args:
        verdict: What the gate said.
        cycle: The new files.
        challenger: The digest of the winner.
        config: Names the model and who is to be told.
        page: The URL of the flow run; None without Prefect.
    """
    body = f"{cycle.data}: {verdict}"
    return {
        "effects": _told(config, AWAITS, f"{body}\n{ways(config, challenger)}", page),
        "when_approved": _promotion(config, body, page),
        "when_refused": _told(config, "refused, the champion stays", body, page),
    }


def ways(config: RetrainConfig, challenger: str) -> str:
    """Return by which commands a winner is approved or refused."""
    folder = f" --models_folder {config.models_folder}" if config.models_folder != RetrainConfig.models_folder else ""
    return f"approve or refuse by: unbroken registry{folder} approve|refuse {config.model} {challenger[:16]}"


def _promotion(config: RetrainConfig, body: str, page: str | None) -> Effects:
    scoring: Effects = {EVENT: {}} if page else {}
    return scoring | _told(config, "promoted", body, page)


def _told(config: RetrainConfig, subject: str, body: str, page: str | None) -> Effects:
    tracking, block = config.train.tracking, config.train.notify.block
    effects: Effects = {}
    if tracking.uri:
        effects[MLFLOW] = {"uri": tracking.uri, "experiment": tracking.experiment}
    if block:
        effects[NOTIFICATION] = message(block, f"{config.model}: {subject}", body, page)
    return effects


def message(block: str, subject: str, body: str, page: str | None) -> dict[str, str]:
    """Return what a notification needs."""
    return {"block": block, "subject": subject, "body": f"{body}\n{page}" if page else body}


def intend_refusal(error: BlockedError, config: RetrainConfig, page: str | None) -> None:
    """Put into the outbox that new data were blocked, if somebody is to be told; of the same data and reason once."""
    block = config.train.notify.block
    if not block:
        return
    key = hashlib.sha256(f"{error.data}\n{error}".encode()).hexdigest()[:12]
    details = message(block, f"{config.model}: blocked", str(error), page)
    intent = Intent(key=f"{config.model}-blocked-{key}", effect=NOTIFICATION, details=details)
    registry_of(config).outbox().add([intent])


def deliver(registry: Registry, effects: Mapping[str, Effect]) -> None:
    """Have what is pending of the kinds at hand; say what could not be had, which stays pending.

    Args:
        registry: The registry of the model.
        effects: What brings each kind about.
    """
    for failure in registry.outbox().deliver(effects):
        log.warning(
            "%s: not told yet: %s. The next round tries again, and `unbroken registry deliver` does",
            registry.folder.name,
            failure,
        )
