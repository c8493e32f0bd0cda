"""Scoring."""

from unbroken import pipeline as library
from unbroken.config import PredictConfig
from unbroken.orchestration.task_decorators import uncached_asset_task
from unbroken.serving.standing import Predictions


@uncached_asset_task
def predict(config: PredictConfig) -> Predictions:
    """Score a source with a model's champion into one Parquet file."""
    return library.predict(config)
