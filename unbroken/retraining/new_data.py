"""Find the files and rows that came since the last retraining."""

import hashlib
import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unbroken.config import DataConfig, RetrainConfig
from unbroken.csv.conversion import as_parquet
from unbroken.csv.reading import Reading
from unbroken.data.footers import Footer, read_footers
from unbroken.data.sources import SourceFile, digest_files, find_files
from unbroken.data.verification import read_verified
from unbroken.errors import BlockedError, ConfigError, DataError
from unbroken.features.encoder import Encoder
from unbroken.features.learnt import learnt_reading
from unbroken.features.learnt_kinds import by_learnt_kinds
from unbroken.retraining import watermark
from unbroken.retraining.contract import WAY_OUT, changed_features, changed_prediction, require_fitting
from unbroken.retraining.seen_rows import SeenRows, record_path, seen_among
from unbroken.retraining.watermark import Times
from unbroken.serving.registry import NOTHING_SEEN, Registry, Version, Watermark
from unbroken.serving.signature import signer
from unbroken.storage import atomic
from unbroken.storage.artifact import to_json
from unbroken.storage.journal import Clock, utc_now
from unbroken.storage.temporary import temporary_folder

log = logging.getLogger(__name__)

AHEAD = timedelta(days=1)
"""How far the time of a row may lie ahead of the clock: zones differ, and so do clocks."""


FITTING = "every file can be read, and has the champion's columns and a label that it knows in every row"


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
        since: The rows after it are new; the watermark, unless all begins anew.
        new_line: Whether the challenger takes up another contract, so that the champion cannot be compared with it.
        broken: Why files were left out that came too, each by its name first.
    """

    folder: str
    new: tuple[SourceFile, ...]
    older: tuple[SourceFile, ...]
    champion: Version | None
    watermark: Watermark
    next_watermark: Watermark
    since: Watermark = NOTHING_SEEN
    new_line: bool = False
    broken: tuple[str, ...] = ()

    @property
    def rival(self) -> Version | None:
        """The champion, if the challenger is compared with it."""
        return None if self.new_line else self.champion

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
        return f"{self.data} since {self.since}, champion {self.champion or 'none yet'}"


def find_new_data(config: RetrainConfig, clock: Clock = utc_now) -> Cycle | None:
    """Compare the source with the watermark.

    Args:
        config: The model and the source.
        clock: Tells which times of rows lie ahead.

    Returns:
        The cycle to run; None if nothing is new.

    Raises:
        ConfigError: The model or the source is not named, the key to sign with is of no use, or another label or task
            than the champion's is.
        DataError: The source cannot be read, rows that the champion saw cannot be told from others, or a row has no time
            to compare; the latter is noted in the audit log.
    """
    config.require_complete()
    if config.promotion.signing_key:
        signer(Path(config.promotion.signing_key))  # a key that is of no use is told before a training
    registry = registry_of(config)
    pointer, champion = registry.pointer, registry.champion()
    files = find_files(config.train.data.source)
    digests = digest_files(files)
    names = watermark.content_names(files, digests)
    files = [replace(file, digest=digest) for file, digest in zip(files, digests, strict=True)]
    latest = clock().astimezone(UTC).replace(tzinfo=None) + AHEAD
    since = watermark.plausible(pointer.watermark, latest, str(registry.folder))
    new_line = _is_new_line(champion, since, names, config)
    since = NOTHING_SEEN if new_line else since
    seen = set(since.files)
    new = tuple(file for file, name in zip(files, names, strict=True) if name not in seen)
    if not new:
        _say_what_waits(champion, config)
        return None
    broken = _broken_files(new, None if new_line else champion, config)
    names = [name for file, name in zip(files, names, strict=True) if file.url not in broken]
    new = tuple(file for file in new if file.url not in broken)
    key = _cycle_key(sorted(set(names) - seen), names, champion, config)
    cycle = Cycle(
        folder=str(registry.folder.absolute() / "cycles" / key),
        new=new,
        older=tuple(file for file in files if file not in new and file.url not in broken),
        champion=champion,
        watermark=pointer.watermark,
        next_watermark=watermark.add_files(pointer.watermark, names),
        since=since,
        new_line=new_line,
        broken=tuple(broken.values()),
    )
    timed = cycle if config.watermark_column is None else _with_latest_time(cycle, config, latest)
    return timed if timed and _has_unseen_rows(timed, config) else None


def _broken_files(new: tuple[SourceFile, ...], rival: Version | None, config: RetrainConfig) -> dict[str, str]:
    """Return by their URLs why new files are left out, and say so; none where the settings let them block the round.

    They are not counted as seen: mended or not, they are looked at again by the next round.

    Raises:
        BlockedError: None is left.
    """
    if config.on_broken_file == "block":
        return {}
    registry = registry_of(config)
    atomic.make_folder(registry.folder)
    with temporary_folder(registry.folder, "check") as folder:
        complaints = {file.url: _complaint(file, rival, config, folder / str(index)) for index, file in enumerate(new)}
    broken = {url: complaint for url, complaint in complaints.items() if complaint}
    for complaint in broken.values():
        log.warning("left out: %s", complaint)
    if len(broken) == len(new):
        with audit_data_errors(registry, f"{len(new)} new file{'s' * (len(new) > 1)}", FITTING):
            raise DataError(f"every new file is broken: {'; '.join(broken.values())}")
    return broken


def _complaint(file: SourceFile, rival: Version | None, config: RetrainConfig, folder: Path) -> str:
    """Return why a file cannot take part, its name first; nothing if it can."""
    try:
        footers = read_source_footers((file,), folder, rival, config.train.data)
        for footer in footers:
            if rival is not None:
                require_fitting(footer, config.train.data, encoder_of(rival).schema)
            if config.watermark_column is not None:
                watermark.survey([footer.file], config.watermark_column, datetime.max)
    except DataError as error:
        return str(error)
    return ""


def registry_of(config: RetrainConfig) -> Registry:
    """Return the registry of the configured model."""
    return Registry(Path(config.models_folder) / config.model)


def reading_of(champion: Version | None, data: DataConfig) -> Reading:
    """Return how files are read: by what the champion learnt of their columns, if there is one, and by the settings."""
    if champion is None:
        return Reading.of(data)
    reading = learnt_reading(encoder_of(champion), data)
    words = set(data.null_words or ())
    columns = {
        name: known if known.values is None else replace(known, values=frozenset(known.values) - words)
        for name, known in reading.columns.items()
    }
    return replace(reading, columns=columns, csv=data.csv)


def encoder_of(version: Version) -> Encoder:
    """Return what a version learnt of its columns."""
    return Encoder.of_published(Path(version.path), version.digest)


def read_source_footers(
    files: tuple[SourceFile, ...], folder: Path, champion: Version | None, data: DataConfig
) -> list[Footer]:
    """Read the footers of source files.

    Args:
        files: The files.
        folder: Where CSV files are converted to, and Parquet files whose columns are of other kinds than the champion
            learnt and the settings do not say so.
        champion: The champion, if rows are read for a comparison with it.
        data: The settings.
    """
    reading = reading_of(champion, data)
    footers = read_footers(as_parquet(files, folder, reading), reading.kinds)
    if champion is None:
        return footers
    schema = encoder_of(champion).schema
    kinds = {column.name: column.kind for column in (*schema.features, schema.label)}
    return by_learnt_kinds(footers, kinds, {*data.types, *data.categories}, folder)


def new_footers(cycle: Cycle, config: RetrainConfig) -> list[Footer]:
    """Read the footers of a cycle's new files."""
    return read_source_footers(cycle.new, cycle.path / "converted", cycle.rival, config.train.data)


@contextmanager
def audit_data_errors(registry: Registry, data: str, rule: str, report: Path | None = None) -> Generator[None]:
    """Note a DataError as `blocked` in the audit log before it ends the run as BlockedError; the champion stays.

    Args:
        registry: The registry of the model.
        data: The new files, for a person.
        rule: What they have to be.
        report: Where what was measured of them lies, if it was.
    """
    try:
        yield
    except DataError as error:
        registry.note("blocked", data=data, reason=str(error))
        raise BlockedError(str(error), data=data, rule=rule, report=str(report) if report else None) from error


def _with_latest_time(cycle: Cycle, config: RetrainConfig, limit: datetime) -> Cycle | None:
    """Return the cycle up to the latest time in its new files; None if that is no later than the watermark.

    Rows later than the limit are named and left for a later cycle.
    """
    with audit_data_errors(registry_of(config), cycle.data, f"every row has a time in {config.watermark_column}"):
        times = read_verified(cycle.new, lambda: _times(cycle, config, limit))
    if times.ahead:
        log.warning(
            "%s: column %s: %s, the latest %s, lie in the future (later than %s): they do not move the watermark, "
            "and neither train nor judge",
            *(cycle.data, config.watermark_column, f"{times.ahead:,} row{'s' * (times.ahead > 1)}"),
            *(times.latest_ahead, limit.isoformat(timespec="minutes")),
        )
    if times.latest is None or (cycle.since.until is not None and times.latest <= cycle.since.until):
        return None
    return replace(cycle, next_watermark=replace(cycle.next_watermark, until=times.latest))


def seen_rows(cycle: Cycle, footers: list[Footer]) -> NDArray[np.bool_] | None:
    """Return which rows of the new files the champion saw, where no time tells; None if it saw none of them."""
    if cycle.rival is None or cycle.since.until is not None:
        return None
    seen = SeenRows.read(record_path(cycle.rival.path))
    return seen_among(footers, encoder_of(cycle.rival).schema, seen)


def _has_unseen_rows(cycle: Cycle, config: RetrainConfig) -> bool:
    """Tell whether new files hold more than the champion saw, as they do not if they were only written anew."""
    if cycle.rival is None or cycle.since.until is not None:
        return True
    with audit_data_errors(registry_of(config), cycle.data, FITTING):
        mask = read_verified(cycle.new, lambda: _seen_rows(cycle, config))
    if mask is None:
        return True
    log.warning(
        "%s: the champion has seen %s of %s rows: they do not judge", *(cycle.data, f"{mask.sum():,}", len(mask))
    )
    return not mask.all()


def _seen_rows(cycle: Cycle, config: RetrainConfig) -> NDArray[np.bool_] | None:
    return seen_rows(cycle, new_footers(cycle, config))


def _cannot_tell(champion: Version, since: Watermark, names: list[str]) -> bool:
    """Tell whether new files may hold rows that the champion saw, and nothing says which: files grew, and it kept no record."""
    gone = set(since.files) - set(names)
    return bool(gone and set(names) - set(since.files)) and since.until is None and not _has_record(champion)


def _has_record(champion: Version) -> bool:
    return SeenRows.read(record_path(champion.path)).complete


def _is_new_line(champion: Version | None, since: Watermark, names: list[str], config: RetrainConfig) -> bool:
    """Tell whether a champion takes no part: it cannot be compared, and the settings let another take its place."""
    if champion is None:
        return False
    data, schema = config.train.data, encoder_of(champion).schema
    changes = changed_prediction(data, schema)
    if changes and not config.gate.replace:
        raise ConfigError(f"{champion.path}: {'; '.join(changes)}. The two cannot be compared. {WAY_OUT}")
    if (unknown := _cannot_tell(champion, since, names)) and not config.gate.replace:
        raise DataError(
            f"{data.source}: found files changed or gone since they were seen, expected them as they were beside new "
            f"ones: the champion {champion} is of a release that kept no digests of its rows, so rows that it was "
            f"trained on would judge it. Bring new rows in files of their own, give a `model` of its own, or set "
            f"gate.replace"
        )
    return config.gate.replace and bool(changes or unknown or changed_features(data, schema))


def _say_what_waits(champion: Version | None, config: RetrainConfig) -> None:
    if champion and (changes := changed_features(config.train.data, encoder_of(champion).schema)):
        log.warning("the settings ask for a model %s: it is trained when rows come that are new", changes)


def _times(cycle: Cycle, config: RetrainConfig, limit: datetime) -> Times:
    assert config.watermark_column is not None
    return watermark.survey([footer.file for footer in new_footers(cycle, config)], config.watermark_column, limit)


def _cycle_key(new: list[str], names: list[str], champion: Version | None, config: RetrainConfig) -> str:
    parts = [*new, "/", *names, "/", champion.digest if champion else "none", to_json(config).decode()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
