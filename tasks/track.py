"""Beside the stages, and only if asked for: an MLflow server is told of the run and of the champion."""

from pathlib import Path

from unbroken.config import Config, RetrainConfig
from unbroken.orchestration.policies import uncached
from unbroken.run import Run
from unbroken.serving.registry import Registry
from unbroken.stages.results import Restored


@uncached
def track(restored: Restored, run: Run, config: Config) -> str:
    """Log settings, metrics per epoch, the checkpoint and the model, each once; return where they are."""
    from unbroken.integrations import mlflow_tracking as tracking  # noqa: PLC0415 (an extra)

    return tracking.track(restored, run, config)


@uncached
def track_champion(config: RetrainConfig) -> int | None:
    """Give the champion its alias there; return its version."""
    from unbroken.integrations import mlflow_tracking as tracking  # noqa: PLC0415 (an extra)

    return tracking.set_champion(config.train.tracking, Registry(Path(config.models_folder) / config.model))
