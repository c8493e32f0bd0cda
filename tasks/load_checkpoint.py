"""Stage 6."""

from unbroken.config import Config
from unbroken.data.dataset import SplitDatasets
from unbroken.orchestration.task_decorators import cached_task
from unbroken.run import Run
from unbroken.stages import load_checkpoint as library
from unbroken.stages.results import Published, Restored
from unbroken.storage.artifact import Artifact


@cached_task
def load_checkpoint(
    published: Published, splits: SplitDatasets, encoder: Artifact, config: Config, run: Run
) -> Restored:
    """Restore model and optimizer from `checkpoint.pth` and demand the recorded metrics to the bit."""
    return library.load_checkpoint(published, splits, encoder, config, run)
