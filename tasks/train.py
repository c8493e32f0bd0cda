"""Stage 4."""

from tasks.policies import stage
from tasks.ui import progress_artifact
from unbroken import engine
from unbroken.artifact import Artifact, Checkpoint
from unbroken.config import Config
from unbroken.progress import Progress, progress_bar
from unbroken.run import Run
from unbroken.split import SplitDatasets


@stage
def train(splits: SplitDatasets, scaler: Artifact, config: Config, run: Run) -> Checkpoint:
    """Update the weights to the last epoch, from the newest checkpoint of the run on, one checkpoint an epoch."""
    with progress_bar() as bar, progress_artifact(run) as artifact:

        def report(progress: Progress) -> None:
            bar(progress)
            artifact(progress)

        return engine.train(config, splits, scaler, run, report)
