"""Short trainings on the built-in sample, to be looked at."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from unbroken.config import CheckpointConfig, Config, DataConfig, TrainingConfig
from unbroken.pipeline import train


def settings(folder: Path, *, name: str | None = None, **training: Any) -> Config:
    """Return the settings of two short epochs."""
    return Config(
        data=DataConfig(source="sample"),
        training=replace(TrainingConfig(epochs=2, batch_size=400), **training),
        checkpoint=CheckpointConfig(every_seconds=None),
        runs_folder=str(folder / "runs"),
        name=name,
    )


def trained(folder: Path, **changes: Any) -> Path:
    """Train, and return the run's folder."""
    return train(settings(folder, **changes)).path.parent
