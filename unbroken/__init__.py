"""Crash-proof PyTorch training on tabular data.

    import unbroken

    model = unbroken.train(unbroken.Config(data=unbroken.DataConfig(source="rows.parquet", label="late")))
    model.predict(rows)

Names are imported when they are first used: torch takes seconds, and Prefect is not needed for any of them.
"""

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unbroken.config import (
        CheckpointConfig,
        ChecksConfig,
        ComputeConfig,
        Config,
        DataConfig,
        GateConfig,
        ModelConfig,
        NotifyConfig,
        PredictConfig,
        PreprocessConfig,
        PromotionConfig,
        ResumeConfig,
        RetrainConfig,
        SplitConfig,
        StartConfig,
        TrackingConfig,
        TrainingConfig,
    )
    from unbroken.errors import (
        CheckpointError,
        CheckpointMismatchError,
        CodeChangedError,
        ConfigError,
        CorruptCheckpointError,
        DataError,
        ExportError,
        LockedError,
        RanksDifferError,
        RegistryError,
        ServerError,
        SignatureError,
        StoppedError,
        TrainingError,
        UnbrokenError,
    )
    from unbroken.estimators.classifier import UnbrokenClassifier
    from unbroken.estimators.regressor import UnbrokenRegressor
    from unbroken.features.spec import FeatureSpec
    from unbroken.interchange.export import export
    from unbroken.pipeline import TrainedModel, predict, retrain, train
    from unbroken.serving.prediction import Predictor
    from unbroken.serving.prediction import load_predictor as load
    from unbroken.sweeps.result import SweepResult
    from unbroken.sweeps.run import run_sweep as sweep
    from unbroken.sweeps.settings import SweepConfig

__all__ = [
    "CheckpointConfig",
    "CheckpointError",
    "CheckpointMismatchError",
    "ChecksConfig",
    "CodeChangedError",
    "ComputeConfig",
    "Config",
    "ConfigError",
    "CorruptCheckpointError",
    "DataConfig",
    "DataError",
    "ExportError",
    "FeatureSpec",
    "GateConfig",
    "LockedError",
    "ModelConfig",
    "NotifyConfig",
    "PredictConfig",
    "Predictor",
    "PreprocessConfig",
    "PromotionConfig",
    "RanksDifferError",
    "RegistryError",
    "ResumeConfig",
    "RetrainConfig",
    "ServerError",
    "SignatureError",
    "SplitConfig",
    "StartConfig",
    "StoppedError",
    "SweepConfig",
    "SweepResult",
    "TrackingConfig",
    "TrainedModel",
    "TrainingConfig",
    "TrainingError",
    "UnbrokenClassifier",
    "UnbrokenError",
    "UnbrokenRegressor",
    "__version__",
    "export",
    "load",
    "predict",
    "retrain",
    "sweep",
    "train",
]

ELSEWHERE = {
    "FeatureSpec": ("unbroken.features.spec", "FeatureSpec"),
    "Predictor": ("unbroken.serving.prediction", "Predictor"),
    "UnbrokenClassifier": ("unbroken.estimators.classifier", "UnbrokenClassifier"),
    "UnbrokenRegressor": ("unbroken.estimators.regressor", "UnbrokenRegressor"),
    "export": ("unbroken.interchange.export", "export"),
    "load": ("unbroken.serving.prediction", "load_predictor"),
    "SweepConfig": ("unbroken.sweeps.settings", "SweepConfig"),
    "SweepResult": ("unbroken.sweeps.result", "SweepResult"),
    "sweep": ("unbroken.sweeps.run", "run_sweep"),
    **{name: ("unbroken.pipeline", name) for name in ("TrainedModel", "predict", "retrain", "train")},
}
"""Names that are neither settings nor errors: their modules, and what they are called there."""


def __getattr__(name: str) -> Any:
    """Import a name of the front door."""
    if name == "__version__":
        return _version()
    if name not in __all__:
        raise AttributeError(f"module 'unbroken' has no attribute {name!r}")
    home = "unbroken.config" if name.endswith("Config") else "unbroken.errors"
    module, attribute = ELSEWHERE.get(name, (home, name))
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)


def _version() -> str:
    try:
        return version("unbroken")
    except PackageNotFoundError:  # a source tree that is not installed
        return "0+source"
