"""Stage 2."""

from unbroken.config import PreprocessConfig, SplitConfig, StartConfig
from unbroken.data.dataset import Dataset
from unbroken.orchestration.task_decorators import cached_task
from unbroken.run import Run
from unbroken.stages import preprocess as library
from unbroken.stages.results import Preprocessed


@cached_task
def preprocess(
    dataset: Dataset, config: PreprocessConfig, split: SplitConfig, run: Run, start: StartConfig
) -> Preprocessed:
    """Scale features to 0 .. 1 and code categories, fitted on the training rows only."""
    return library.preprocess(dataset, config, split, run, start)
