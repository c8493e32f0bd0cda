"""Find the files and rows that came since the last retraining."""

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from unbroken.config import DataConfig, RetrainConfig
from unbroken.csv.conversion import as_parquet
from unbroken.csv.reading import Reading
from unbroken.data.footers import Footer, read_footers
from unbroken.data.sources import SourceFile, digest_files, find_files
from unbroken.data.verification import read_verified
from unbroken.errors import DataError
from unbroken.features.encoder import Encoder
from unbroken.features.learnt import learnt_reading
from unbroken.retraining import watermark
from unbroken.serving.registry import Registry, Version, Watermark
from unbroken.storage.artifact import to_json


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """One retraining: the same files, champion and settings are the same cycle, in the same folder, however often it starts.

    Attributes:
        folder: Its private folder, inside that of its model.
        new: The files that hold new rows.
        older: The other files of the source.
        champion: The champion when the cycle began, if there was one.
        watermark: How far retraining had come then.
        next_watermark: How far it has come when the cycle ends.
    """

    folder: str
    new: tuple[SourceFile, ...]
    older: tuple[SourceFile, ...]
    champion: Version | None
    watermark: Watermark
    next_watermark: Watermark

    @property
    def path(self) -> Path:
        """The folder as a path."""
        return Path(self.folder)

    @property
    def results(self) -> Path:
        """Folder of the stages' cached results."""
        return self.path / "results"

    @property
    def data(self) -> str:
        """The new files by name, for a person."""
        names = [Path(file.url).name for file in self.new]
        return names[0] if len(names) == 1 else f"{names[0]} .. {names[-1]} ({len(names)} files)"

    def __str__(self) -> str:
        return f"{self.data} since {self.watermark}, champion {self.champion or 'none yet'}"


def find_new_data(config: RetrainConfig) -> Cycle | None:
    """Compare the source with the watermark.

    Returns:
        The cycle to run; None if nothing is new.

    Raises:
        ConfigError: The model or the source is not named.
        DataError: The source cannot be read, or a row has no time to compare; the latter is noted in the audit log.
    """
    config.require_complete()
    registry = registry_of(config)
    pointer, champion = registry.pointer, registry.champion()
    files = find_files(config.train.data.source)
    digests = digest_files(files)
    names = watermark.content_names(files, digests)
    files = [replace(file, digest=digest) for file, digest in zip(files, digests, strict=True)]
    seen = set(pointer.watermark.files)
    new = tuple(file for file, name in zip(files, names, strict=True) if name not in seen)
    if not new:
        return None
    key = _cycle_key(sorted(set(names) - seen), names, champion, config)
    cycle = Cycle(
        folder=str(registry.folder.absolute() / "cycles" / key),
        new=new,
        older=tuple(file for file in files if file not in new),
        champion=champion,
        watermark=pointer.watermark,
        next_watermark=watermark.add_files(pointer.watermark, names),
    )
    return cycle if config.watermark_column is None else _with_latest_time(cycle, config, registry)


def registry_of(config: RetrainConfig) -> Registry:
    """Return the registry of the configured model."""
    return Registry(Path(config.models_folder) / config.model)


def reading_of(champion: Version | None, data: DataConfig) -> Reading:
    """Return how CSV files are read: by what the champion learnt of their columns, if there is one."""
    if champion is None:
        return Reading.of(data)
    return learnt_reading(Encoder.of_published(Path(champion.path), champion.digest), data)


def read_source_footers(files: tuple[SourceFile, ...], folder: Path, reading: Reading) -> list[Footer]:
    """Read the footers of source files; CSV files are converted into the folder."""
    return read_footers(as_parquet(files, folder, reading), reading.kinds)


@contextmanager
def audit_data_errors(registry: Registry, data: str) -> Generator[None]:
    """Note a DataError as `blocked` in the audit log before it ends the run; the champion stays."""
    try:
        yield
    except DataError as error:
        registry.note("blocked", data=data, reason=str(error))
        raise


def _with_latest_time(cycle: Cycle, config: RetrainConfig, registry: Registry) -> Cycle | None:
    """Return the cycle up to the latest time in its new files; None if that is no later than the watermark."""
    with audit_data_errors(registry, cycle.data):
        latest = read_verified(cycle.new, lambda: _latest_time(cycle, config))
    if latest is None or (cycle.watermark.until is not None and latest <= cycle.watermark.until):
        return None
    return replace(cycle, next_watermark=replace(cycle.next_watermark, until=latest))


def _latest_time(cycle: Cycle, config: RetrainConfig) -> str | None:
    assert config.watermark_column is not None
    reading = reading_of(cycle.champion, config.train.data)
    footers = read_source_footers(cycle.new, cycle.path / "converted", reading)
    return watermark.latest_time([footer.file for footer in footers], config.watermark_column)


def _cycle_key(new: list[str], names: list[str], champion: Version | None, config: RetrainConfig) -> str:
    parts = [*new, "/", *names, "/", champion.digest if champion else "none", to_json(config).decode()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
