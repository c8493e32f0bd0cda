"""Stage 3."""

from tasks.policies import stage
from unbroken.artifact import Dataset
from unbroken.config import SplitConfig
from unbroken.run import Run
from unbroken.split import SplitDatasets, split_dataset


@stage
def split(dataset: Dataset, preprocessed: Dataset, config: SplitConfig, run: Run) -> SplitDatasets:
    """Write the training and the test rows to datasets of their own."""
    return split_dataset(dataset, preprocessed, config, run)
