"""Stage 5: give the chosen epoch's checkpoint its public name."""

import dataclasses
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from unbroken.checkpoints.format import check_digest, decode, read_checkpoint, read_content
from unbroken.checkpoints.history import best_epoch
from unbroken.checkpoints.store import CheckpointStore
from unbroken.checkpoints.tree import Tree
from unbroken.code.record import CodeRecord
from unbroken.config import Config
from unbroken.config.metrics import why_undefined
from unbroken.run import Run
from unbroken.stages.results import Checkpoint, Published
from unbroken.storage.artifact import Artifact
from unbroken.storage.journal import Journal
from unbroken.storage.publication import publish
from unbroken.storage.sealed import seal

log = logging.getLogger(__name__)


def save_checkpoint(last: Checkpoint, config: Config, run: Run) -> Published:
    """Publish the last or the best epoch durably as `checkpoint.pth`, after verifying it, with a manifest beside it.

    Raises:
        CorruptCheckpointError: The checkpoint is not the one that was saved; nothing is published.
        CheckpointError: The best epoch's is not kept.
    """
    path, expected = _chosen(last, config, run)
    content = read_content(path)
    digest = hashlib.sha256(content).hexdigest()
    check_digest(path, digest, expected)
    tree = decode(content, path)
    manifest = json.dumps(_manifest(tree, digest, run), indent=1).encode()
    publish(run.published, content, digest, seal(manifest))
    return Published(path=str(run.published), digest=digest, manifest=Artifact.of(run.manifest), epoch=tree["epoch"])


def _chosen(last: Checkpoint, config: Config, run: Run) -> tuple[Path, str]:
    """Return the file to publish, and the SHA-256 that it must have or the beginning of it."""
    if config.checkpoint.publish == "best":
        history = read_checkpoint(Path(last.path), last.digest)["history"]
        best = best_epoch(history, config.training.monitor)
        if best is None:
            log.warning(
                "checkpoint.publish best: %s is finite in none of the %d epochs: %s. Published is the last one",
                config.training.monitor,
                len(history),
                why_undefined(config.training.monitor),
            )
        if best is not None and best != last.epoch:
            entry = CheckpointStore(run.checkpoints, Journal(run.journal), config.checkpoint.keep_last).epoch(best)
            return entry.path, entry.digest
    return Path(last.path), last.digest


def _manifest(tree: Tree, digest: str, run: Run) -> dict[str, Any]:
    record = CodeRecord.read(run.code)
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
            "exact": record.exact,
            "code": [dataclasses.asdict(segment) for segment in record.segments],
        },
        "schema": tree["schema"],
        "scaler": tree["scaler"],
    }
