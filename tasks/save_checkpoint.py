"""Stage 5."""

from tasks.policies import publishing_stage
from unbroken import publish
from unbroken.artifact import Checkpoint, Published
from unbroken.config import Config
from unbroken.run import Run


@publishing_stage
def save_checkpoint(checkpoint: Checkpoint, config: Config, run: Run) -> Published:
    """Publish the chosen epoch durably as `checkpoint.pth`, with a manifest."""
    return publish.save_checkpoint(checkpoint, config, run)
