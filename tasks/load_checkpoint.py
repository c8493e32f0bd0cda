"""Stage 6."""

from tasks.policies import stage
from unbroken import publish
from unbroken.artifact import Artifact, Published, Restored
from unbroken.config import Config
from unbroken.run import Run
from unbroken.split import SplitDatasets


@stage
def load_checkpoint(
    published: Published, splits: SplitDatasets, scaler: Artifact, config: Config, run: Run
) -> Restored:
    """Restore model and optimizer from `checkpoint.pth` and demand the recorded metrics to the bit."""
    return publish.load_checkpoint(published, splits, scaler, config, run)
