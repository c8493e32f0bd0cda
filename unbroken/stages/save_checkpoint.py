"""Stage 5: give the chosen epoch's checkpoint its public name."""

import dataclasses
import hashlib
import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from unbroken.checkpoints.format import check_digest, decode, read_checkpoint, read_content
from unbroken.checkpoints.history import best_epoch
from unbroken.checkpoints.store import CheckpointStore
from unbroken.checkpoints.tree import Tree
from unbroken.code.record import CodeRecord, present_code
from unbroken.config import Config
from unbroken.config.metrics import why_undefined
from unbroken.errors import DataError
from unbroken.features.encoder import Encoder
from unbroken.models.self_check import SelfCheck, make_self_check
from unbroken.reproducibility.determinism import reproducible
from unbroken.run import Run
from unbroken.stages.results import Checkpoint, Published
from unbroken.storage.artifact import Artifact
from unbroken.storage.journal import Journal
from unbroken.storage.publication import find_manifest, publish, read_manifest
from unbroken.storage.sealed import seal
from unbroken.training.rebuilding import rebuild

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
    manifest = json.dumps(_manifest(tree, digest, config, run), indent=1).encode()
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


def _manifest(tree: Tree, digest: str, config: Config, run: Run) -> dict[str, Any]:
    record = CodeRecord.read(run.code, Journal(run.journal))
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
        "self_check": _recorded_check(run, digest) or _new_check(tree, record, config, run),
    }


def _recorded_check(run: Run, digest: str) -> SelfCheck | None:
    """Return the outputs that were recorded when this checkpoint was first published, by the code of then."""
    with suppress(DataError):
        path = find_manifest(run.published, digest)
        return read_manifest(path).get("self_check") if path else None
    return None  # its manifest is not whole, and about to be replaced


def _new_check(tree: Tree, record: CodeRecord, config: Config, run: Run) -> SelfCheck | None:
    """Return what the code that trained gives for made-up rows; None in a process of other code, which cannot know."""
    if record.change(present_code(config.model.factory)):
        return None
    encoder = Encoder.of_tree(tree["scaler"], run.published)
    with reproducible(config.training.threads):
        model = rebuild(config.model, encoder.features, config.training.seed, str(run.published))
        model.load_state_dict(tree["model_state_dict"])
        return make_self_check(model.eval(), encoder)
