"""Retraining: does the data still look like that of the champion?"""

from unbroken.config import RetrainConfig
from unbroken.orchestration.task_decorators import cached_task
from unbroken.retraining import data_check as library
from unbroken.retraining.data_check import DataCheck
from unbroken.retraining.datasets import CycleDatasets
from unbroken.retraining.new_data import Cycle


@cached_task
def check_data(cycle: Cycle, datasets: CycleDatasets, config: RetrainConfig) -> DataCheck:
    """Measure the drift of the new rows; stop before any training if a rule blocks."""
    return library.check_data(cycle, datasets, config)
