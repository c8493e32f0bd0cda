"""Stages 5 and 6: give the chosen epoch's checkpoint its public name, and prove that it can be restored."""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from unbroken import atomic, checkpoint
from unbroken.artifact import Artifact, Checkpoint, Published, Restored
from unbroken.attempt import reproducible
from unbroken.config import Config
from unbroken.errors import CheckpointMismatchError, CorruptCheckpointError
from unbroken.history import best_epoch
from unbroken.journal import Journal
from unbroken.run import Run
from unbroken.setup import Setup
from unbroken.split import SplitDatasets
from unbroken.state import Tree
from unbroken.store import CheckpointStore


def save_checkpoint(last: Checkpoint, config: Config, run: Run) -> Published:
    """Publish the last or the best epoch durably as `checkpoint.pth`, after verifying it, with a manifest beside it."""
    tree = checkpoint.read(Path(last.path), last.digest)
    path = Path(last.path)
    if config.checkpoint.publish == "best":
        best = best_epoch(tree["history"], config.training.monitor)
        if best is not None and best != last.epoch:
            entry = CheckpointStore(run.checkpoints, Journal(run.journal), config.checkpoint.keep_last).epoch(best)
            path, tree = entry.path, entry.read()
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    atomic.write(run.published, content)
    atomic.write(run.manifest, json.dumps(_manifest(tree, digest, run), indent=1).encode())
    return Published(path=str(run.published), digest=digest, manifest=Artifact.of(run.manifest), epoch=tree["epoch"])


def load_checkpoint(
    published: Published, splits: SplitDatasets, scaler: Artifact, config: Config, run: Run
) -> Restored:
    """Restore model and optimizer into new objects and demand the recorded metrics of the epoch, to the bit.

    Raise CorruptCheckpointError if the file is not whole or the metrics differ, CheckpointMismatchError if it is of another run.
    """
    path = Path(published.path)
    tree = checkpoint.read(path, published.digest)
    with reproducible(config.training.threads):
        setup = Setup.read(config, splits, scaler, run)
        state = setup.fresh_state()
        setup.restore(state, tree, path)
        found = setup.evaluate(state.model)
    recorded = {name: state.history[-1][name] for name in found}
    for name, value in found.items():
        if struct.pack("d", value) != struct.pack("d", recorded[name]):
            _reject(path, name, value, recorded[name], tree, setup)
    return Restored(path=str(path), digest=published.digest, epoch=state.epoch, step=state.step, metrics=recorded)


def _reject(path: Path, name: str, found: float, recorded: float, tree: Tree, setup: Setup) -> None:
    before, now = tree["numerics"], setup.about()["numerics"]
    if before != now:
        raise CheckpointMismatchError(
            f"{path}: {name}: found {found!r}, recorded {recorded!r}: it was trained with {before}, this is {now}. "
            f"Load it where it was trained"
        )
    raise CorruptCheckpointError(
        f"{path}: {name}: found {found!r} after restoring, recorded {recorded!r}. "
        f"The model's factory draws random numbers when evaluated, or the test data changed"
    )


def _manifest(tree: Tree, digest: str, run: Run) -> dict[str, Any]:
    return {
        "format": tree["format"],
        "sha256": digest,
        "run_key": tree["run_key"],
        "epoch": tree["epoch"],
        "step": tree["step"],
        "metrics": tree["history"][-1],
        "history": tree["history"],
        "lineage": {
            "data_sha256": run.fingerprint,
            "warm_from_sha256": run.parent,
            "config": tree["config"],
            "numerics": tree["numerics"],
        },
        "schema": tree["schema"],
        "scaler": tree["scaler"],
    }
