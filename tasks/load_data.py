"""Stage 1."""

from unbroken.config import DataConfig
from unbroken.data.dataset import Dataset
from unbroken.orchestration.task_decorators import cached_task
from unbroken.run import Run
from unbroken.stages import load_data as library


@cached_task
def load_data(config: DataConfig, run: Run) -> Dataset:
    """Check the source against one column contract and list its files in a manifest."""
    return library.load_data(config, run)
