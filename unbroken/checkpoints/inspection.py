"""Look into what was saved: list, verify and compare. Nothing is changed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unbroken.checkpoints.format import read_checkpoint
from unbroken.checkpoints.published import read_published
from unbroken.checkpoints.store import CheckpointStore, Entry
from unbroken.checkpoints.tree import Tree, differing_leaves
from unbroken.checkpoints.validation import shown
from unbroken.errors import CheckpointError, DataError
from unbroken.storage.journal import Journal
from unbroken.storage.publication import parse_manifest, read_manifest, require_manifest

LONGEST_VALUE = 200
REPEATED = ("format", "run_key", "epoch", "step", "schema", "scaler")
"""What a manifest repeats of its checkpoint."""


@dataclass(frozen=True, slots=True)
class FileStatus:
    """A file, and what is wrong with it, if anything is."""

    path: Path
    complaint: str | None


def entries(run: Path) -> list[Entry]:
    """Return the checkpoints of a run's folder, newest first; raise CheckpointError if it is none or has none."""
    folder = run / "checkpoints"
    if not folder.is_dir():
        raise CheckpointError(
            f"{run}: found no folder {folder.name}, expected the folder of a run, e.g. runs/0123456789abcdef"
        )
    if kept := CheckpointStore(folder, Journal(run / "journal.jsonl")).entries():
        return kept
    raise CheckpointError(f"{folder}: found no checkpoint; train first")


def verify_run(run: Path) -> Iterator[FileStatus]:
    """Judge each file of a run that has a digest: its checkpoints, what is published, and the manifest beside it."""
    for entry in entries(run):
        yield _status(entry.path, entry.digest)
    published, copy = run / "checkpoint.pth", run / "checkpoint.json"
    if published.exists() or copy.exists():
        yield from _status_published(published, copy)


def differences(left: Tree, right: Tree) -> list[tuple[str, str, str]]:
    """Return the name and both values, in words, of each leaf in which two checkpoints differ by at least a bit."""
    return [(name[1:], *_in_words(value, other)) for name, value, other in differing_leaves(left, right, "")]


def read_newest(path: Path) -> Tree:
    """Read a checkpoint file, or the newest checkpoint of a run's folder."""
    if path.is_dir():
        return entries(path)[0].read()
    if not path.exists():
        raise CheckpointError(f"{path}: found nothing there, expected a checkpoint or the folder of a run")
    return read_checkpoint(path)


def _status_published(published: Path, copy: Path) -> Iterator[FileStatus]:
    """Judge the checkpoint by the digest in its manifest, and that by the checkpoint, which says of itself all else."""
    try:
        tree, digest = read_published(published)
        manifest = require_manifest(published, digest)
    except (CheckpointError, DataError) as error:
        yield FileStatus(published if isinstance(error, CheckpointError) else copy, str(error))
        return
    yield FileStatus(published, None)
    yield FileStatus(manifest, _difference(manifest, tree, digest))
    if manifest != copy and copy.is_file():
        yield FileStatus(copy, _difference_of_copy(copy, published, tree, digest))


def _difference(manifest: Path, tree: Tree, digest: str) -> str | None:
    """Return in what a manifest differs from its checkpoint."""
    try:
        written = parse_manifest(manifest)
        expected = {name: tree[name] for name in REPEATED} | {"metrics": tree["history"][-1], "sha256": digest}
        wrong = [name for name, value in expected.items() if _plain(written.get(name)) != _plain(value)]
        if wrong:
            return f"{', '.join(wrong)}: not as in checkpoint.pth"
        read_manifest(manifest)
    except DataError as error:
        return str(error)
    return None


def _difference_of_copy(copy: Path, published: Path, tree: Tree, digest: str) -> str | None:
    """Return what is wrong with the manifest beside a checkpoint; after a crash it may be that of the publication before."""
    content = copy.read_bytes()
    try:
        manifest = require_manifest(published, parse_manifest(copy)["sha256"])
    except DataError as error:
        return str(error)
    if manifest != copy and content == manifest.read_bytes():
        return None
    return _difference(copy, tree, digest) or f"not as {manifest}"


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _status(path: Path, digest: str) -> FileStatus:
    try:
        read_checkpoint(path, digest)
    except CheckpointError as error:
        return FileStatus(path, str(error))
    return FileStatus(path, None)


def metrics_of(entry: Entry) -> dict[str, float] | None:
    """Return the metrics of the last whole epoch in a checkpoint, or None if it is corrupt."""
    try:
        history = entry.read()["history"]
    except CheckpointError:
        return None
    return {name: value for name, value in history[-1].items() if name != "epoch"} if history else {}


def _in_words(left: Any, right: Any) -> tuple[str, str]:
    """Return two different values in words; of two tensors alike in shape, the first element that differs."""
    if not (isinstance(left, Tensor) and isinstance(right, Tensor)):
        return _summary(left), _summary(right)
    if (left.dtype, left.shape) != (right.dtype, right.shape):
        return _summary(left), _summary(right)
    # What is equal in value may differ in bits: a zero and a negative one.
    bits, other_bits = (part.contiguous().view(-1).view(torch.uint8).view(part.numel(), -1) for part in (left, right))
    unequal = (bits != other_bits).any(dim=1).nonzero().flatten().tolist()
    first = unequal[0] if unequal else 0
    value, other = (part.flatten()[first].item() for part in (left, right))
    return f"{len(unequal)} of {left.numel()} elements differ, [{first}] is {value!r}", f"[{first}] is {other!r}"


def _summary(value: Any) -> str:
    text = shown(value) if isinstance(value, Tensor) else repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
