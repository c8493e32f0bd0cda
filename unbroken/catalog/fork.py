"""A checkpoint of a run from which others begin: published by itself, and kept from the run's retention."""

from pathlib import Path

from unbroken.catalog.summary import RunFolder
from unbroken.checkpoints.store import CheckpointStore
from unbroken.stages.results import Published
from unbroken.stages.save_checkpoint import publish_checkpoint
from unbroken.storage.journal import Journal

FORKED = "forked"


def publish_epoch(folder: Path, epoch: int | None = None) -> Published:
    """Publish an epoch of a run for other runs to start from, in a folder of the run's own.

    Args:
        folder: The run's folder.
        epoch: The epoch; the newest that is kept when not given.

    Raises:
        CheckpointError: It is not kept, or not whole.
        DataError: The settings of the run were not kept.
    """
    opened = RunFolder(folder)
    run = opened.run
    store = CheckpointStore(run.checkpoints, Journal(run.journal))
    newest = next((entry.epoch for entry in store.entries() if not entry.step), 0)
    entry = store.epoch(newest if epoch is None else epoch)
    target = folder / FORKED / f"epoch-{entry.epoch:04d}" / run.published.name
    return publish_checkpoint(entry.path, entry.digest, target, opened.configuration(), run)
