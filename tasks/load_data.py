"""Stage 1."""

from tasks.policies import stage
from unbroken import load_data as library
from unbroken.artifact import Dataset
from unbroken.config import DataConfig
from unbroken.run import Run


@stage
def load_data(config: DataConfig, run: Run) -> Dataset:
    """Check the source against one column contract and list its files in a manifest."""
    return library.load_data(config, run)
