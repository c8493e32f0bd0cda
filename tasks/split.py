"""Stage 3."""

from unbroken.config import SplitConfig
from unbroken.data.dataset import SplitDatasets
from unbroken.orchestration.task_decorators import cached_task
from unbroken.run import Run
from unbroken.stages import split as library
from unbroken.stages.results import Preprocessed


@cached_task
def split(preprocessed: Preprocessed, config: SplitConfig, run: Run) -> SplitDatasets:
    """Write the training and the test rows to datasets of their own."""
    return library.split_dataset(preprocessed, config, run)
