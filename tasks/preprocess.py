"""Stage 2."""

from unbroken.config import PreprocessConfig, SplitConfig, StartConfig
from unbroken.data.dataset import Dataset
from unbroken.orchestration.policies import stage
from unbroken.run import Run
from unbroken.stages import preprocess as library
from unbroken.stages.results import Preprocessed


@stage
def preprocess(
    dataset: Dataset, config: PreprocessConfig, split: SplitConfig, run: Run, start: StartConfig
) -> Preprocessed:
    """Scale features to 0 .. 1 and code categories, fitted on the training rows only."""
    return library.preprocess(dataset, config, split, run, start)
