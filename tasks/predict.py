"""Scoring."""

from pathlib import Path

from unbroken.config import PredictConfig
from unbroken.orchestration.task_decorators import uncached_asset_task
from unbroken.serving.prediction import load_predictor
from unbroken.serving.scoring import Predictions, predict_files


@uncached_asset_task
def predict(config: PredictConfig) -> Predictions:
    """Score a source with a model's champion into one Parquet file."""
    config.require_complete()
    model = load_predictor(config.model, factory=config.factory, device=config.device)
    return predict_files(model, config.source, Path(config.target), config.keep, overwrite=config.overwrite)
