"""Stage 4."""

from tasks.policies import stage
from unbroken import engine
from unbroken.artifact import Artifact
from unbroken.config import Config
from unbroken.engine import Checkpoint
from unbroken.progress import progress_bar
from unbroken.run import Run
from unbroken.split import SplitDatasets


@stage
def train(splits: SplitDatasets, scaler: Artifact, config: Config, run: Run) -> Checkpoint:
    """Update the weights to the last epoch, from the newest checkpoint of the run on, one checkpoint an epoch."""
    with progress_bar() as report:
        return engine.train(config, splits, scaler, run, report)
