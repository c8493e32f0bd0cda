"""Stage 5: give the chosen epoch's checkpoint its public name."""

import hashlib
import json
from pathlib import Path
from typing import Any

from unbroken.checkpoints.format import read_checkpoint
from unbroken.checkpoints.history import best_epoch
from unbroken.checkpoints.store import CheckpointStore
from unbroken.checkpoints.tree import Tree
from unbroken.config import Config
from unbroken.run import Run
from unbroken.stages.results import Checkpoint, Published
from unbroken.storage import atomic
from unbroken.storage.artifact import Artifact
from unbroken.storage.journal import Journal


def save_checkpoint(last: Checkpoint, config: Config, run: Run) -> Published:
    """Publish the last or the best epoch durably as `checkpoint.pth`, after verifying it, with a manifest beside it."""
    tree = read_checkpoint(Path(last.path), last.digest)
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
