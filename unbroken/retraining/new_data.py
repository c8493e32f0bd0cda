"""What came since the last retraining, and what it is to be measured against."""

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from unbroken.config import RetrainConfig
from unbroken.data.csv import as_parquet
from unbroken.data.footers import Footer, read_footers
from unbroken.data.sources import SourceFile, digest_files, find_files
from unbroken.errors import DataError
from unbroken.retraining import watermark
from unbroken.serving.registry import Registry, Version, Watermark
from unbroken.storage.artifact import to_json


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """One retraining: the new files, the older ones, the champion, and the watermark before and after it.

    The same files, champion and settings are the same round, in the same folder, however often it is started.
    """

    folder: str
    new: tuple[SourceFile, ...]
    older: tuple[SourceFile, ...]
    champion: Version | None
    before: Watermark
    after: Watermark

    @property
    def path(self) -> Path:
        """The round's private folder, inside that of its model."""
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
        return f"{self.data} since {self.before}, champion {self.champion or 'none yet'}"


def find_new_data(config: RetrainConfig) -> Cycle | None:
    """Compare the source with the watermark; return None if nothing is new.

    Raises:
        ConfigError: The model or the source is not named.
        DataError: There is no data.
    """
    config.require_complete()
    registry = registry_of(config)
    pointer, champion = registry.pointer, registry.champion()
    files = find_files(config.train.data.source)
    names = watermark.identify(files, digest_files(files))
    seen = set(pointer.watermark.files)
    new = tuple(file for file, name in zip(files, names, strict=True) if name not in seen)
    if not new:
        return None
    key = _key(sorted(set(names) - seen), names, champion, config)
    found = Cycle(
        folder=str(registry.folder.absolute() / "rounds" / key),
        new=new,
        older=tuple(file for file in files if file not in new),
        champion=champion,
        before=pointer.watermark,
        after=watermark.after_files(pointer.watermark, names),
    )
    return found if config.watermark_column is None else _until_newest(found, config.watermark_column, registry)


def registry_of(config: RetrainConfig) -> Registry:
    """Return the registry of the configured model."""
    return Registry(Path(config.models_folder) / config.model)


def footers_of(files: tuple[SourceFile, ...], folder: Path) -> list[Footer]:
    """Read the footers of some files, CSV being converted into the folder."""
    return read_footers([as_parquet(file, folder / f"{number:05d}.parquet") for number, file in enumerate(files)])


@contextmanager
def blocking(registry: Registry, data: str) -> Generator[None]:
    """Write a complaint about the data to the audit log before it ends the run; the champion stays."""
    try:
        yield
    except DataError as error:
        registry.note("blocked", data=data, reason=str(error))
        raise


def _until_newest(found: Cycle, column: str, registry: Registry) -> Cycle | None:
    with blocking(registry, found.data):
        footers = footers_of(found.new, found.path / "converted")
        newest = watermark.newest([footer.file for footer in footers], column)
    if newest is None or (found.before.until is not None and newest <= found.before.until):
        return None
    return replace(found, after=replace(found.after, until=newest))


def _key(new: list[str], names: list[str], champion: Version | None, config: RetrainConfig) -> str:
    parts = [*new, "/", *names, "/", champion.digest if champion else "none", to_json(config).decode()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
