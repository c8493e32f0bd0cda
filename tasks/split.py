"""Stage 3."""

from unbroken.config import SplitConfig
from unbroken.data.dataset import SplitDatasets
from unbroken.orchestration.policies import stage
from unbroken.run import Run
from unbroken.stages import split as library
from unbroken.stages.results import Preprocessed


@stage
def split(preprocessed: Preprocessed, config: SplitConfig, run: Run) -> SplitDatasets:
    """Write the training and the test rows to datasets of their own."""
    return library.split_dataset(preprocessed, config, run)
