"""Retraining, first: what is new."""

from unbroken.config import RetrainConfig
from unbroken.orchestration.task_decorators import uncached_task
from unbroken.retraining import new_data as library
from unbroken.retraining.new_data import Cycle


@uncached_task
def find_new_data(config: RetrainConfig) -> Cycle | None:
    """Compare the source with what was seen before; nothing when nothing is new."""
    return library.find_new_data(config)
