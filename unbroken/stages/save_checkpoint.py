"""Stage 5: give the chosen epoch's checkpoint its public name."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from unbroken.checkpoints.format import check_digest, decode, read_checkpoint, read_content
from unbroken.checkpoints.history import History, best_epoch
from unbroken.checkpoints.store import CheckpointStore
from unbroken.checkpoints.tree import Tree
from unbroken.code.record import CodeRecord, present_code
from unbroken.config import Config
from unbroken.config.metrics import why_undefined
from unbroken.data.dataset import SplitDatasets
from unbroken.errors import DataError
from unbroken.evaluation.self_check import SelfCheck, make_self_check
from unbroken.features.encoder import Encoder
from unbroken.reproducibility.determinism import reproducible
from unbroken.run import Run
from unbroken.stages.results import Checkpoint, Published
from unbroken.stages.scores import BASELINES, SCORES, score
from unbroken.storage.artifact import Artifact
from unbroken.storage.journal import Journal
from unbroken.storage.publication import find_manifest, publish, read_manifest
from unbroken.storage.sealed import seal
from unbroken.training.inputs import EvaluationInputs
from unbroken.training.rebuilding import rebuild

log = logging.getLogger(__name__)

Scores = Callable[[Tree, Path], dict[str, Any]]
"""Returns what the test rows say of the model in a checkpoint, for the manifest."""


def save_checkpoint(last: Checkpoint, splits: SplitDatasets, encoder: Artifact, config: Config, run: Run) -> Published:
    """Publish the last or the best epoch durably as `checkpoint.pth`, after verifying it, with a manifest beside it.

    For the manifest the test rows are scored: `unbroken.stages.scores`.

    Args:
        last: The checkpoint with which the training ended.
        splits: The preprocessed parts.
        encoder: The encoder that preprocessed them.
        config: The settings of the run.
        run: The run.

    Raises:
        CorruptCheckpointError: The checkpoint is not the one that was saved; nothing is published.
        CheckpointError: The best epoch's is not kept.
    """

    def scores(tree: Tree, path: Path) -> dict[str, Any]:
        with reproducible(config.training.threads):
            return score(EvaluationInputs.read(config, splits, encoder, run), splits, tree, path)

    path, expected, later = _chosen(last, config, run)
    return publish_checkpoint(path, expected, run.published, config, run, later, scores)


def publish_checkpoint(
    path: Path,
    expected: str,
    target: Path,
    config: Config,
    run: Run,
    later: Sequence[dict[str, float]] = (),
    scores: Scores | None = None,
) -> Published:
    """Publish a checkpoint of a run as a file, after verifying it, with a manifest beside it.

    Args:
        path: The checkpoint.
        expected: The SHA-256 that it must have, or the beginning of it.
        target: The file.
        config: The settings of the run.
        run: The run.
        later: What the history says of the epochs that were trained after it.
        scores: Scores the test rows.
    """
    content = read_content(path)
    digest = hashlib.sha256(content).hexdigest()
    check_digest(path, digest, expected)
    tree = decode(content, path)
    recorded = _recorded(target, digest)
    record = CodeRecord.read(run.code, Journal(run.journal))
    manifest = _manifest(tree, digest, record, run)
    # What the code of the first publication gave stands.
    manifest["self_check"] = recorded.get("self_check") or _new_check(tree, record, target, config)
    if config.chosen.reasons:
        manifest["chosen"] = list(config.chosen.reasons)
    if later:
        manifest["later_history"] = list(later)
    if scores is not None:
        known = {name: recorded[name] for name in SCORES if name in recorded}
        manifest |= known if BASELINES in known else scores(tree, path)
    publish(target, content, digest, seal(json.dumps(manifest, indent=1).encode()))
    copy = Artifact.of(target.with_suffix(".json"))
    return Published(path=str(target), digest=digest, manifest=copy, epoch=tree["epoch"])


def _chosen(last: Checkpoint, config: Config, run: Run) -> tuple[Path, str, History]:
    """Return the file to publish, the SHA-256 that it must have or the beginning of it, and the history of later epochs."""
    if config.chosen.publish == "best":
        history = read_checkpoint(Path(last.path), last.digest)["history"]
        monitor = config.chosen.monitor
        best = best_epoch(history, monitor)
        if best is None and monitor is not None:
            log.warning(
                "checkpoint.publish best: %s is finite in none of the %d epochs: %s. Published is the last one",
                monitor,
                len(history),
                why_undefined(monitor),
            )
        if best is not None and best != last.epoch:
            entry = CheckpointStore(run.checkpoints, Journal(run.journal), config.checkpoint.keep_last).epoch(best)
            return entry.path, entry.digest, history[best:]
    return Path(last.path), last.digest, []


def _manifest(tree: Tree, digest: str, record: CodeRecord, run: Run) -> dict[str, Any]:
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


def _recorded(published: Path, digest: str) -> dict[str, Any]:
    """Return the manifest of this checkpoint where it was published before; empty where it was not."""
    with suppress(DataError):
        path = find_manifest(published, digest)
        return read_manifest(path) if path else {}
    return {}  # it is not whole, and about to be replaced


def _new_check(tree: Tree, record: CodeRecord, published: Path, config: Config) -> SelfCheck | None:
    """Return what the code that trained gives for made-up rows; None in a process of other code, which cannot know."""
    if record.change(present_code(config.chosen.model.factory)):
        return None
    encoder = Encoder.of_tree(tree["scaler"], published)
    with reproducible(config.training.threads):
        model = rebuild(
            config.chosen.model, encoder.features, config.training.seed, str(published), config.training.members
        )
        model.load_state_dict(tree["model_state_dict"])
        return make_self_check(model.eval(), encoder)
