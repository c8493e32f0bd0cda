"""Stage 4."""

from unbroken.cli.progress_bar import progress_bar
from unbroken.config import Config
from unbroken.data.dataset import SplitDatasets
from unbroken.engines import training as library
from unbroken.orchestration.artifacts import progress_artifact
from unbroken.orchestration.restart import watch_crashes
from unbroken.orchestration.task_decorators import cached_task
from unbroken.run import Run
from unbroken.stages.results import Checkpoint
from unbroken.storage.artifact import Artifact
from unbroken.training.progress import Progress


@cached_task
def train(splits: SplitDatasets, encoder: Artifact, config: Config, run: Run) -> Checkpoint:
    """Update the weights to the last epoch, from the newest checkpoint of the run on, one checkpoint an epoch."""
    hooks = watch_crashes(config, splits, run)
    with progress_bar() as bar, progress_artifact(run) as artifact, hooks as watching:

        def report(progress: Progress) -> None:
            bar(progress)
            artifact(progress)

        return library.train(config, splits, encoder, run, report, watching)
