"""A published checkpoint and its manifest as one: the manifest lies there first, under the digest of the checkpoint's bytes.

    checkpoint.pth            whose rename is the publication
    manifests/<sha256>.json   the manifests of this publication and of the one before
    checkpoint.json           the manifest once more, for people and for copies

So a reader, and a process killed at any moment, leaves or sees the old pair or the new one.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unbroken.errors import CorruptCheckpointError, DataError
from unbroken.storage import atomic, own_files
from unbroken.storage.artifact import from_json
from unbroken.storage.sealed import unseal_file

FOLDER = "manifests"
FIRST = "format"
"""The first member of a manifest, but for its own digest."""
SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class ToldModel:
    """What built the model."""

    factory: str
    options: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ToldSettings:
    """The settings of a run."""

    model: ToldModel


@dataclass(frozen=True, kw_only=True)
class ToldLineage:
    """Where a model comes from."""

    config: ToldSettings
    numerics: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ToldCoverage:
    """The share that was asked for, the error allowed for it, and the share of the test rows there was."""

    share: float
    threshold: float
    covered: float


@dataclass(frozen=True, kw_only=True)
class ToldCalibration:
    """How sure predictions are; `shown` by the test rows, unless too few rows validate."""

    errors: dict[str, Any]
    shown: ToldCoverage | None


@dataclass(frozen=True, kw_only=True)
class ToldSchema:
    """What is predicted."""

    task: str


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a manifest tells of a run for its report."""

    epoch: int
    history: list[dict[str, float]]
    lineage: ToldLineage
    metrics: dict[str, float]
    schema: ToldSchema
    later_history: list[dict[str, float]] = field(default_factory=list)
    test_metrics: dict[str, float] = field(default_factory=dict)
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    baselines_left_out: dict[str, str] = field(default_factory=dict)
    calibration: ToldCalibration | None = None

    def __post_init__(self) -> None:
        names = {"epoch", "loss", *self.history[-1]} if self.history else set()
        if not names or any(names ^ entry.keys() for entry in self.history + self.later_history):
            raise ValueError("history: found no entries, or some with other names than others")


def find_manifest(checkpoint: Path, digest: str) -> Path | None:
    """Return the manifest of a published checkpoint of this SHA-256, None if there is none.

    Raises:
        DataError: A manifest is not whole.
    """
    path = _path(checkpoint, digest)
    if path.is_file():
        return path
    path = checkpoint.with_suffix(".json")
    return path if path.is_file() and read_manifest(path)["sha256"] == digest else None


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the content of a manifest; raise DataError if it is no JSON object with a text `sha256`, or has changed."""
    content = own_files.read(path)
    manifest = _parse(content, path)
    unseal_file(content, path, FIRST)
    return manifest


def parse_manifest(path: Path) -> dict[str, Any]:
    """Return the content of a manifest, changed or not; raise DataError if it is no JSON object with a text `sha256`."""
    return _parse(own_files.read(path), path)


def _parse(content: bytes, path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: not a whole manifest: {error}. Publish the checkpoint again, or copy both files"
        ) from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("sha256"), str):
        raise DataError(
            f"{path}: not a whole manifest: found no text sha256 in it. Publish the checkpoint again, or copy both files"
        )
    return manifest


def require_manifest(checkpoint: Path, digest: str) -> Path:
    """Return the manifest of a published checkpoint of this SHA-256; raise DataError if there is none."""
    if path := find_manifest(checkpoint, digest):
        return path
    path = checkpoint.with_suffix(".json")
    if not path.is_file():
        raise DataError(f"{path}: found no manifest beside {checkpoint.name}; publish or copy both")
    raise DataError(f"{path}: is of the checkpoint {read_manifest(path)['sha256']}, expected {digest}")


def published_manifest(checkpoint: Path) -> dict[str, Any]:
    """Return the manifest of a published checkpoint as it is now; raise DataError if there is none, or it tells no history."""
    digest = atomic.digest(checkpoint)
    try:
        path = require_manifest(checkpoint, digest)
        manifest = read_manifest(path)
        from_json(Told, json.dumps(manifest).encode(), str(path))
    except (DataError, FileNotFoundError):
        if atomic.digest(checkpoint) == digest:
            raise
        return published_manifest(checkpoint)  # another was published meanwhile
    return manifest


def require_published(checkpoint: Path, digest: str) -> Path | None:
    """Return the manifest of the bytes that were read from a published checkpoint, None if no manifest lies there at all.

    Args:
        checkpoint: The file.
        digest: The SHA-256 of the bytes.

    Raises:
        CorruptCheckpointError: The manifests there are of other bytes.
        DataError: A manifest is not whole.
    """
    if path := find_manifest(checkpoint, digest):
        return path
    copy = checkpoint.with_suffix(".json")
    manifests = [copy] if copy.is_file() else sorted((checkpoint.parent / FOLDER).glob("*.json"))
    if not manifests:
        return None
    expected = " or ".join(str(read_manifest(manifest)["sha256"]) for manifest in manifests)
    raise CorruptCheckpointError(f"{checkpoint}: found SHA-256 {digest}, expected {expected}")


def publish(checkpoint: Path, content: bytes, digest: str, manifest: bytes) -> None:
    """Publish a checkpoint and its manifest as one.

    Args:
        checkpoint: The file that takes its place.
        content: The bytes of the checkpoint.
        digest: Their SHA-256, which the manifest names.
        manifest: The bytes of the manifest.
    """
    path = _path(checkpoint, digest)
    atomic.make_folder(path.parent)
    with own_files.lock(path.parent / "lock"):
        previous = atomic.digest(checkpoint) if checkpoint.is_file() else None
        _keep_previous(checkpoint)
        atomic.write(path, manifest)
        atomic.write(checkpoint, content)
        atomic.write(checkpoint.with_suffix(".json"), manifest)
        for old in path.parent.glob("*.json"):
            if old.stem not in {digest, previous}:
                old.unlink(missing_ok=True)


def _keep_previous(checkpoint: Path) -> None:
    """Give the manifest of a publication that has it only beside the checkpoint its place by digest too."""
    copy = checkpoint.with_suffix(".json")
    if not copy.is_file():
        return
    try:
        digest = read_manifest(copy)["sha256"]
    except DataError:
        return  # it is about to be replaced
    path = _path(checkpoint, digest)
    if SHA256.fullmatch(digest) and not path.exists():
        atomic.write(path, copy.read_bytes())


def _path(checkpoint: Path, digest: str) -> Path:
    return checkpoint.parent / FOLDER / f"{digest}.json"
