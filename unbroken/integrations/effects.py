"""What other systems are told of a decision; their libraries are imported when they are."""

from unbroken.config import TrackingConfig
from unbroken.retraining.effects import MLFLOW
from unbroken.serving.registry import Registry
from unbroken.storage.outbox import Effect, Intent


def tracking_effects(registry: Registry) -> dict[str, Effect]:
    """Return what moves the alias of the champion, by the kind of the effect: to where it belongs, however often."""

    def set_alias(intent: Intent) -> None:
        from unbroken.integrations.mlflow_tracking import set_champion  # noqa: PLC0415 (an extra)

        set_champion(TrackingConfig(**intent.details), registry)

    return {MLFLOW: set_alias}
