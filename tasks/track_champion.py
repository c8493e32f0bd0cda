"""After a retraining, if `train.tracking.uri` is set: an MLflow server is told of the champion."""

from unbroken.config import RetrainConfig
from unbroken.orchestration.task_decorators import uncached_task
from unbroken.retraining.new_data import registry_of


@uncached_task
def track_champion(config: RetrainConfig) -> int | None:
    """Give the champion the alias `champion` there; return its version, or nothing if the server does not have it."""
    from unbroken.integrations import mlflow_tracking as library  # noqa: PLC0415 (an extra)

    return library.set_champion(config.train.tracking, registry_of(config))
