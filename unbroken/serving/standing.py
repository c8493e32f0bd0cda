"""Predictions that stand: a file for each version of a model and content of rows, and beside it what it was made of.

    predictions/<model>/<version>/<source>-<content>.parquet    named by the first digits of both digests
    predictions/<model>/<version>/<source>-<content>.json       its manifest

What was scored once by a version is not scored again by it, and what another version scored is not overwritten.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from unbroken.config import PredictConfig
from unbroken.data.sources import SourceFile, digest_files, find_files, fingerprint_files, local_path
from unbroken.errors import ConfigError, DataError
from unbroken.serving.registry import VERSIONS, Registry, champion_path
from unbroken.storage import atomic
from unbroken.storage.artifact import Artifact, from_json, to_json
from unbroken.storage.sealed import read_sealed, seal

log = logging.getLogger(__name__)

VERSION_DIGITS, CONTENT_DIGITS = 16, 8
UNSAFE = re.compile(r"[^\w.=-]+")
FIRST = "predictions"
"""The first member of a manifest, but for its own digest."""


@dataclass(frozen=True, kw_only=True)
class Predictions(Artifact):
    """A Parquet file of predictions and the SHA-256 of the checkpoint that made them."""

    rows: int
    model: str

    def __str__(self) -> str:
        return f"{self.rows:,} rows scored by {self.model[:16]} in {self.path}"


@dataclass(frozen=True, kw_only=True)
class PredictionManifest:
    """What predictions were made of.

    Attributes:
        predictions: The file, by its name beside the manifest, and the SHA-256 of the checkpoint.
        source: The source as it was named.
        source_sha256: The digest of its content.
        keep: The columns that were copied.
        device: Where the model computed.
        interval: The share of cases in which what was written holds the truth.
    """

    predictions: Predictions
    source: str
    source_sha256: str
    keep: tuple[str, ...] = ()
    device: str = "cpu"
    interval: float | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be scored by which version, and where the predictions lie.

    Attributes:
        model: The SHA-256 of the published checkpoint.
        source: The source as it was named.
        files: Its files, with their digests.
        source_sha256: The digest of its content.
        target: The Parquet file.
        keep: The columns to copy.
        device: Where the model computes.
        interval: The share of cases in which what is written is to hold the truth.
    """

    model: str
    source: str
    files: tuple[SourceFile, ...]
    source_sha256: str
    target: Path
    keep: tuple[str, ...]
    device: str
    interval: float | None

    @classmethod
    def of(cls, config: PredictConfig) -> "Request":
        """Look up the version and the content of the rows that are meant; raise ConfigError, RegistryError or DataError."""
        path = Path(config.model)
        model = atomic.digest(champion_path(path) if path.is_dir() else path)
        source, files = rows_to_score(config)
        digests = digest_files(files)
        content = fingerprint_files(files, digests)
        return cls(
            model=model,
            source=source,
            files=tuple(replace(file, digest=digest) for file, digest in zip(files, digests, strict=True)),
            source_sha256=content,
            target=version_folder(config, model) / f"{_plain_name(source)}-{content[:CONTENT_DIGITS]}.parquet",
            keep=config.keep,
            device=config.device,
            interval=config.interval,
        )

    @property
    def manifest(self) -> Path:
        """Beside the target, what it was made of."""
        return self.target.with_suffix(".json")

    def standing(self) -> Predictions | None:
        """Return the predictions if they stand already, whole and of this request."""
        if not (self.manifest.is_file() and self.target.is_file()):
            return None
        try:
            manifest = read_manifest(self.manifest)
        except DataError as error:
            log.warning("%s. Its rows are scored anew", error)
            return None
        made_of = (
            manifest.predictions.model,
            manifest.source_sha256,
            manifest.keep,
            manifest.device,
            manifest.interval,
        )
        if made_of != (self.model, self.source_sha256, self.keep, self.device, self.interval):
            return None
        whole = atomic.digest(self.target) == manifest.predictions.digest
        return replace(manifest.predictions, path=str(self.target)) if whole else None

    def write_manifest(self, predictions: Predictions) -> None:
        """Write down what predictions were made of, durably."""
        manifest = PredictionManifest(
            predictions=replace(predictions, path=self.target.name),
            source=self.source,
            source_sha256=self.source_sha256,
            keep=self.keep,
            device=self.device,
            interval=self.interval,
        )
        atomic.write(self.manifest, seal(to_json(manifest, indent=1)))


def rows_to_score(config: PredictConfig) -> tuple[str, list[SourceFile]]:
    """Return the source and its files that are to be scored.

    Raises:
        ConfigError: No source is named, and no round of retraining tells what is new.
        DataError: There are no such files.
    """
    if config.source:
        return config.source, find_files(config.source)
    last = Registry(Path(config.model)).last_round() if Path(config.model).is_dir() else None
    if last is None:
        raise ConfigError(
            f"source: found nothing, expected a path, a glob or a URL of Parquet or CSV files; no round of retraining "
            f"says for {config.model} which rows are new"
        )
    files = [file for file in find_files(last.source) if file.url in last.files]
    if missing := sorted(set(last.files) - {file.url for file in files}):
        raise DataError(f"{missing[0]}: is gone since the last round of retraining found it new. Name a source")
    return (local_path(files[0].url) or files[0].url if len(files) == 1 else last.source), files


def version_folder(config: PredictConfig, model: str) -> Path:
    """Return where the predictions of a version lie, whose SHA-256 is `model`."""
    path = Path(config.model).absolute()
    folder = path if path.is_dir() else path.parent
    name = (folder.parent if folder.name == VERSIONS else folder).name
    return Path(config.predictions_folder) / name / model[:VERSION_DIGITS]


def read_manifest(path: Path) -> PredictionManifest:
    """Return what predictions were made of; raise DataError if it is not whole."""
    return from_json(PredictionManifest, read_sealed(path, FIRST), str(path))


def predictions_in(folder: Path) -> Iterator[PredictionManifest]:
    """Yield what lies in the folder of a version, in the order of the names; what is not whole is passed over and named."""
    for path in sorted(folder.glob("*.json")):
        try:
            yield read_manifest(path)
        except DataError as error:
            log.warning("%s", error)


def _plain_name(source: str) -> str:
    """Return the last part of a source as the name of a file, without its ending."""
    last = source.rstrip("/").rpartition("/")[2] or "rows"
    return UNSAFE.sub("_", last.removesuffix(".gz").removesuffix(".csv").removesuffix(".parquet")) or "rows"
