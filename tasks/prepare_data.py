"""Retraining: new rows to train and to judge, older ones beside them."""

from unbroken.config import RetrainConfig
from unbroken.orchestration.task_decorators import cached_task
from unbroken.retraining import datasets as library
from unbroken.retraining.datasets import CycleDatasets
from unbroken.retraining.new_data import Cycle
from unbroken.retraining.start import with_start


@cached_task
def prepare_data(cycle: Cycle, config: RetrainConfig) -> CycleDatasets:
    """Check the new rows against the champion's columns, hold some out, and mix older ones in."""
    return with_start(cycle, library.prepare_data(cycle, config), config)
