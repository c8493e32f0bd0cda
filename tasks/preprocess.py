"""Stage 2."""

from tasks.policies import stage
from unbroken import preprocess as library
from unbroken.artifact import Dataset
from unbroken.config import PreprocessConfig, SplitConfig, StartConfig
from unbroken.preprocess import Preprocessed
from unbroken.run import Run


@stage
def preprocess(
    dataset: Dataset, config: PreprocessConfig, split: SplitConfig, run: Run, start: StartConfig
) -> Preprocessed:
    """Scale features to 0 .. 1 and code categories, fitted on the training rows only."""
    return library.preprocess(dataset, config, split, run, start)
