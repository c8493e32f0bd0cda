"""Stage 3."""

from unbroken.config import SplitConfig
from unbroken.data.dataset import Dataset, SplitDatasets
from unbroken.orchestration.task_decorators import cached_task
from unbroken.run import Run
from unbroken.stages import split as library


@cached_task
def split(dataset: Dataset, preprocessed: Dataset, config: SplitConfig, run: Run) -> SplitDatasets:
    """Write the training and the test rows to datasets of their own."""
    return library.split_dataset(dataset, preprocessed, config, run)
