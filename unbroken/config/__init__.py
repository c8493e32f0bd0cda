"""What a user can set: plain frozen values. No file is read and no torch imported here."""

from unbroken.config.checkpoint import CheckpointConfig, NotifyConfig, TrackingConfig
from unbroken.config.config import Config
from unbroken.config.data import CsvConfig, DataConfig, PreprocessConfig, SplitConfig
from unbroken.config.metrics import TaskName
from unbroken.config.model import ModelConfig, StartConfig
from unbroken.config.prediction import PredictConfig
from unbroken.config.resume import ResumeConfig
from unbroken.config.retraining import ChecksConfig, GateConfig, PromotionConfig, RetrainConfig
from unbroken.config.training import ComputeConfig, TrainingConfig

__all__ = [
    "CheckpointConfig",
    "ChecksConfig",
    "ComputeConfig",
    "Config",
    "CsvConfig",
    "DataConfig",
    "GateConfig",
    "ModelConfig",
    "NotifyConfig",
    "PredictConfig",
    "PreprocessConfig",
    "PromotionConfig",
    "ResumeConfig",
    "RetrainConfig",
    "SplitConfig",
    "StartConfig",
    "TaskName",
    "TrackingConfig",
    "TrainingConfig",
]
