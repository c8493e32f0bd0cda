"""Scoring."""

from pathlib import Path

from tasks.policies import publishing
from unbroken import predict as library
from unbroken.predict import Predictions
from unbroken.retrain_config import PredictConfig


@publishing
def predict(config: PredictConfig) -> Predictions:
    """Score a source with a model's champion into one Parquet file."""
    model = library.load(config.model, factory=config.factory, device=config.device)
    return library.predict_files(model, config.source, Path(config.target), config.keep)
