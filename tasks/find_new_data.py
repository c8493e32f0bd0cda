"""Retraining, first: what is new."""

from tasks.policies import uncached
from unbroken import find_new_data as library
from unbroken.find_new_data import Round
from unbroken.retrain_config import RetrainConfig


@uncached
def find_new_data(config: RetrainConfig) -> Round | None:
    """Compare the source with what was seen before; nothing when nothing is new."""
    return library.find_new_data(config)
