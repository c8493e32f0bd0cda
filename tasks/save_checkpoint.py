"""Stage 5."""

from unbroken.config import Config
from unbroken.data.dataset import SplitDatasets
from unbroken.orchestration.task_decorators import cached_asset_task
from unbroken.run import Run
from unbroken.stages import save_checkpoint as library
from unbroken.stages.results import Checkpoint, Published
from unbroken.storage.artifact import Artifact


@cached_asset_task
def save_checkpoint(
    checkpoint: Checkpoint, splits: SplitDatasets, encoder: Artifact, config: Config, run: Run
) -> Published:
    """Publish the chosen epoch durably as `checkpoint.pth`, with a manifest."""
    return library.save_checkpoint(checkpoint, splits, encoder, config, run)
