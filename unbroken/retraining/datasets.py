"""Prepare a cycle's rows: new ones under the champion's columns, some held out to judge, and older ones to train with."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from unbroken.config import Config, DataConfig, RetrainConfig
from unbroken.contract.check import check_contract
from unbroken.data.dataset import Dataset, Manifest, Slice
from unbroken.data.dictionary import decode_field
from unbroken.data.footers import Footer, with_formats
from unbroken.data.parquet import Writer, read_slices
from unbroken.data.permutation import Permutation, derive
from unbroken.data.schema import Schema
from unbroken.data.sources import SourceFile, data_errors
from unbroken.data.split import TEST, TRAIN, assign, with_parts
from unbroken.data.verification import read_verified
from unbroken.errors import DataError
from unbroken.retraining import watermark
from unbroken.retraining.contract import WAY_OUT, agreed_data, require_fitting
from unbroken.retraining.new_data import (
    FITTING,
    Cycle,
    audit_data_errors,
    encoder_of,
    new_footers,
    read_source_footers,
    registry_of,
    seen_rows,
)
from unbroken.retraining.seen_rows import Digests, SeenRows, dataset_digests, record_path, row_digests, tell_apart
from unbroken.storage.artifact import Artifact

log = logging.getLogger(__name__)

SHOWN_NAMES = 10
NO_DIGESTS: Digests = np.empty(0, np.uint64)
NOTHING_SEEN_BEFORE = SeenRows(digests=NO_DIGESTS, complete=True)


@dataclass(frozen=True, kw_only=True)
class CycleDatasets:
    """The raw rows of a cycle and the settings of its challenger.

    Attributes:
        new: All new rows.
        test: Those of them that judge champion and challenger.
        train: The others of them, which train the challenger.
        replay: Older rows that train it too, if there are any.
        schema: The columns of all of them.
        config: How the challenger is trained.
        seen: Digests of the rows that the challenger and those before it saw.
        start: What it starts from and why, for a person, once that is known.
    """

    new: Dataset
    test: Dataset
    train: Dataset
    replay: Dataset | None
    schema: Schema
    config: Config
    start: str = ""
    seen: Artifact | None = None

    @property
    def training(self) -> list[Dataset]:
        """The rows that the challenger is trained on."""
        return [part for part in (self.train, self.replay) if part]

    def __str__(self) -> str:
        older = f" and {self.replay.rows:,} older" if self.replay else ""
        return f"{self.test.rows:,} new rows judge, {self.train.rows:,} new{older} train"


def prepare_data(cycle: Cycle, config: RetrainConfig) -> CycleDatasets:
    """Write the rows of a cycle to its folder.

    Raises:
        BlockedError: The rows do not fit the champion's columns, or a file changed since they were found to be new; noted in
            the audit log.
    """
    files = (*cycle.new, *(cycle.older if config.replay else ()))
    with audit_data_errors(registry_of(config), cycle.data, FITTING):
        return read_verified(files, lambda: _write_rows(cycle, config))


def _write_rows(cycle: Cycle, config: RetrainConfig) -> CycleDatasets:
    settings, older_files = config.train.data, cycle.older if config.replay else ()
    footers = new_footers(cycle, config)
    older = read_source_footers(older_files, cycle.path / "converted-older", cycle.rival, settings)
    data, schema = _check_columns(footers, cycle, config)
    older = _with_columns(older, schema)
    types = _common_types(schema, [*footers, *older], cycle, config)
    types = with_formats(types, [footer.file for footer in (*footers, *older)])
    writer = _RowWriter(cycle, config.watermark_column, types, footers, older, seen_rows(cycle, footers))
    new = writer.write("new.parquet", writer.read_new())
    test, train = _hold_out(writer, new, schema, config)
    digests = dataset_digests(new, schema)
    judges = np.unique(dataset_digests(test, schema)) if tell_apart(digests) else NO_DIGESTS
    count = round(config.replay * train.rows)
    replay = _sample_older(writer, lambda: _without(writer.read_older(), judges, schema), count, config.holdout.seed)
    seen = _seen_afterwards(cycle, schema, digests, dataset_digests(replay, schema))
    data = replace(data, source=str(cycle.path / "train"))
    return CycleDatasets(
        new=new,
        test=test,
        train=train,
        replay=replay,
        schema=schema,
        config=replace(config.train, data=data),
        seen=seen,
    )


@dataclass(frozen=True, slots=True)
class _RowWriter:
    """Reads the rows of a cycle as columns of one type each, and writes them to its folder."""

    cycle: Cycle
    time_column: str | None
    types: pa.Schema
    new: list[Footer]
    older: list[Footer]
    seen: NDArray[np.bool_] | None

    def read_new(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows that are new."""
        return self._as_common(self._read(self.new, new=True, seen=self.seen))

    def read_older(self) -> Iterator[pa.RecordBatch]:
        """Yield those that are not: of older files, and of new ones that hold some."""
        bounded = self.time_column is not None and self.cycle.since.until is not None
        files = [footer.file for footer in self.older]
        yield from self._as_common(
            self._read(self.older, new=False) if bounded else read_slices(files, self.types.names)
        )
        if bounded or self.seen is not None:
            yield from self._as_common(self._read(self.new, new=False, seen=self.seen))

    def _read(self, footers: list[Footer], *, new: bool, seen: NDArray[np.bool_] | None = None) -> Iterator[Slice]:
        return watermark.read_by_watermark(
            *([footer.file for footer in footers], self.types.names, self.time_column, self.cycle.since),
            new=new,
            until=self.cycle.next_watermark.until,
            seen=seen,
        )

    def _as_common(self, parts: Iterator[Slice]) -> Iterator[pa.RecordBatch]:
        for part in parts:
            with data_errors(part.file.name):
                yield self._cast(part)

    def write(self, name: str, batches: Iterator[pa.RecordBatch]) -> Dataset:
        """Write rows to a file of the folder; raise DataError if there are none."""
        with Writer(self.cycle.path / name, self.types) as writer:
            for batch in batches:
                writer.write(batch)
        if not writer.rows:
            raise DataError(f"{self.cycle.data}: found no row for {name}, expected at least one")
        return writer.dataset()

    def _cast(self, part: Slice) -> pa.RecordBatch:
        columns = [column.cast(field.type) for column, field in zip(part.rows.columns, self.types, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=self.types)


def _check_columns(new: list[Footer], cycle: Cycle, config: RetrainConfig) -> tuple[DataConfig, Schema]:
    """Return the data settings and columns of the challenger: those of the champion, where the settings agree with it."""
    data = config.train.data
    if cycle.rival is None:
        schema = check_contract(new, _strict(data), "").schema
        return agreed_data(replace(data, include=(), exclude=(), keep=()), schema), schema
    champion = encoder_of(cycle.rival).schema
    _say_what_is_passed_over(new[0].schema.names if new else [], champion, cycle, config)
    data = agreed_data(data, champion)
    try:
        schema = check_contract(new, _strict(data), "").schema
    except DataError:
        for footer in new:  # where one file is at fault, it is named
            require_fitting(footer, config.train.data, champion)
        raise
    kinds = {column.name: column.kind for column in (*champion.features, champion.label)}
    for column in (*schema.features, schema.label):
        asked = column.name in {*data.types, *data.categories} and column is not schema.label
        if column.kind != (kind := kinds.get(column.name, column.kind)) and not asked:
            raise DataError(
                f"{cycle.data}: column {column.name}: found {column.kind}, expected {kind} as the champion knows it"
            )
    if unknown := [value for value in schema.classes if champion.classes and value not in champion.classes]:
        raise DataError(
            f"{cycle.data}: label {schema.label.name}: found {unknown[0]!r}, expected one of {list(champion.classes)}"
        )
    if champion.task == "binary":  # what a probability is of stays, however many rows of each class are new
        data = replace(data, positive=str(champion.classes[1]))
    return data, replace(champion, features=schema.features)


def _say_what_is_passed_over(names: list[str], champion: Schema, cycle: Cycle, config: RetrainConfig) -> None:
    """Name the columns that could be features and are none because the champion knows none of that name."""
    data = config.train.data
    known = {column.name for column in (*champion.features, champion.label)} | {
        *data.exclude,
        *data.include,
        *data.keep,
    }
    further = [name for name in names if name not in known | {config.watermark_column, config.holdout.column}]
    if further and not data.include:
        log.info(
            "%s: the champion has no feature %s%s: name it in data.keep to train with it",
            *(cycle.data, ", ".join(further[:SHOWN_NAMES]), ", ..." if len(further) > SHOWN_NAMES else ""),
        )


def _strict(data: DataConfig) -> DataConfig:
    """Return settings by which a row without a label is an error, as it always is in retraining."""
    return replace(data, null_labels="refuse")


def _with_columns(older: list[Footer], schema: Schema) -> list[Footer]:
    """Return the older files that have every column; those from before a column came are named and left out."""
    names = {column.name for column in (*schema.features, schema.label)}
    whole = [footer for footer in older if names <= set(footer.schema.names)]
    if len(whole) < len(older):
        first = next(footer for footer in older if footer not in whole)
        missing = sorted(names - set(first.schema.names))
        log.warning("%s: no column %s: older files without it are not replayed", first.file.name, ", ".join(missing))
    return whole


def _common_types(schema: Schema, footers: list[Footer], cycle: Cycle, config: RetrainConfig) -> pa.Schema:
    """Return the columns that a cycle reads, each of a type that holds what all files have."""
    optional = (config.watermark_column, config.holdout.column, *config.gate.slices)
    own = [column.name for column in (*schema.features, schema.label)]
    rivals = [column.name for column in encoder_of(cycle.rival).schema.features] if cycle.rival else []
    names = dict.fromkeys([*own, *rivals, *(name for name in optional if name)])
    parts = []
    for footer in footers:
        if missing := [name for name in names if name not in footer.schema.names]:
            needed = set(missing) & set(rivals) - set(own)
            raise DataError(
                f"{footer.file.name}: no column {', '.join(missing)}; found {', '.join(footer.schema.names)}"
                + (f". The champion needs it to be compared with. {WAY_OUT}" if needed else "")
            )
        parts.append(pa.schema([decode_field(footer.schema.field(name)) for name in names]))
    with data_errors(", ".join(footer.file.name for footer in footers)):
        return pa.unify_schemas(parts, promote_options="permissive")


def _hold_out(writer: _RowWriter, new: Dataset, schema: Schema, config: RetrainConfig) -> tuple[Dataset, Dataset]:
    """Write the new rows that judge and those that train."""
    manifest = Manifest(fingerprint="", files=(new.file,), rows=new.rows, schema=schema)
    parts_of = assign(manifest, config.judges)

    def rows_of(part: int) -> Iterator[pa.RecordBatch]:
        for slice, parts in with_parts(manifest, writer.types.names, parts_of):
            yield slice.rows.filter(pa.array(parts == part))

    return writer.write("test.parquet", rows_of(TEST)), writer.write("train/new.parquet", rows_of(TRAIN))


def _without(batches: Iterator[pa.RecordBatch], judges: Digests, schema: Schema) -> Iterator[pa.RecordBatch]:
    """Yield the rows but those that judge, which come in an older file too where each holds the rows of those before it."""
    columns = (*schema.features, schema.label)
    for batch in batches:
        judging = np.isin(row_digests(Slice(SourceFile(url="older"), 0, batch), columns), judges)
        yield batch.filter(pa.array(~judging)) if judging.any() else batch


def _seen_afterwards(cycle: Cycle, schema: Schema, new: Digests, replayed: Digests) -> Artifact:
    """Write down what the challenger and those before it saw."""
    path, complete, seen = cycle.path / "seen.rows", True, NOTHING_SEEN_BEFORE
    if cycle.rival and encoder_of(cycle.rival).schema.features == schema.features:
        seen = SeenRows.read(record_path(cycle.rival.path))
        complete = seen.complete
    seen.with_rows(new, replayed, complete=complete).write(path)
    return Artifact.of(path)


def _sample_older(
    writer: _RowWriter, read: Callable[[], Iterator[pa.RecordBatch]], count: int, seed: int
) -> Dataset | None:
    """Write `count` older rows chosen at random, the same for the same rows; None if there are none."""
    total = sum(batch.num_rows for batch in read()) if count else 0
    if not total:
        (writer.cycle.path / "train" / "older.parquet").unlink(missing_ok=True)
        return None
    order = Permutation(total, derive(seed, "replay"))

    def sample() -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in read():
            ranks = order.of(np.arange(start, start + batch.num_rows))
            yield batch.filter(pa.array(ranks < count))
            start += batch.num_rows

    return writer.write("train/older.parquet", sample())
