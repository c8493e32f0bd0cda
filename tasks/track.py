"""Beside the stages, and only if asked for: an MLflow server is told of the run and of the champion."""

from pathlib import Path

from tasks.policies import uncached
from unbroken.artifact import Restored
from unbroken.config import Config
from unbroken.registry import Registry
from unbroken.retrain_config import RetrainConfig
from unbroken.run import Run


@uncached
def track(restored: Restored, run: Run, config: Config) -> str:
    """Log settings, metrics per epoch, the checkpoint and the model, each once; return where they are."""
    from unbroken import tracking  # noqa: PLC0415 (an extra)

    return tracking.track(restored, run, config)


@uncached
def track_champion(config: RetrainConfig) -> int | None:
    """Give the champion its alias there; return its version."""
    from unbroken import tracking  # noqa: PLC0415 (an extra)

    return tracking.set_champion(config.train.tracking, Registry(Path(config.models_folder) / config.model))
