"""Prepare a cycle's rows: new ones under the champion's columns, some held out to judge, and older ones to train with."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from unbroken.config import Config, DataConfig, RetrainConfig
from unbroken.contract.check import check_contract
from unbroken.data.dataset import Dataset, Manifest, Slice
from unbroken.data.dictionary import decode_field
from unbroken.data.footers import Footer
from unbroken.data.parquet import Writer, read_slices
from unbroken.data.permutation import Permutation, derive
from unbroken.data.schema import Schema
from unbroken.data.sources import data_errors
from unbroken.data.split import TEST, TRAIN, assign, with_parts
from unbroken.data.verification import read_verified
from unbroken.errors import DataError
from unbroken.features.encoder import Encoder
from unbroken.retraining import watermark
from unbroken.retraining.new_data import Cycle, audit_data_errors, read_source_footers, reading_of, registry_of
from unbroken.serving.registry import Version

log = logging.getLogger(__name__)


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
    """

    new: Dataset
    test: Dataset
    train: Dataset
    replay: Dataset | None
    schema: Schema
    config: Config

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
        DataError: The rows do not fit the champion's columns, or a file changed since they were found to be new; noted in
            the audit log.
    """
    files = (*cycle.new, *(cycle.older if config.replay else ()))
    with audit_data_errors(registry_of(config), cycle.data):
        return read_verified(files, lambda: _write_rows(cycle, config))


def _write_rows(cycle: Cycle, config: RetrainConfig) -> CycleDatasets:
    reading = reading_of(cycle.champion, config.train.data)
    footers = read_source_footers(cycle.new, cycle.path / "converted", reading)
    older = read_source_footers(cycle.older, cycle.path / "converted-older", reading) if config.replay else []
    data, schema = _check_columns(footers, cycle, config)
    writer = _RowWriter(cycle, config.watermark_column, _common_types(schema, [*footers, *older], config))
    new = writer.write("new.parquet", writer.read(footers, new=True))
    test, train = _hold_out(writer, new, schema, config)
    replay = _sample_older(writer, footers, older, round(config.replay * train.rows), config.holdout.seed)
    data = replace(data, source=str(cycle.path / "train"))
    return CycleDatasets(
        new=new,
        test=test,
        train=train,
        replay=replay,
        schema=schema,
        config=_challenger_config(data, cycle.champion, config),
    )


@dataclass(frozen=True, slots=True)
class _RowWriter:
    """Reads the rows of a cycle as columns of one type each, and writes them to its folder."""

    cycle: Cycle
    time_column: str | None
    types: pa.Schema

    def read(self, footers: list[Footer], *, new: bool) -> Iterator[pa.RecordBatch]:
        """Yield the rows that are new, or those that are not."""
        files = [footer.file for footer in footers]
        parts = (
            watermark.read_by_watermark(files, self.types.names, self.time_column, self.cycle.watermark, new=new)
            if self.time_column
            else read_slices(files, self.types.names)
        )
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
    """Return the data settings and columns of the challenger: those of the champion, if there is one."""
    data = config.train.data
    if cycle.champion is None:
        return _pin_columns(data, schema := check_contract(new, _strict(data), "").schema), schema
    expected = Encoder.of_published(Path(cycle.champion.path), cycle.champion.digest).schema
    data = _pin_columns(data, expected)
    schema = check_contract(new, _strict(data), "").schema
    columns = zip((*schema.features, schema.label), (*expected.features, expected.label), strict=True)
    for column, champion_column in columns:
        if column != champion_column:
            raise DataError(
                f"{cycle.data}: column {column.name}: found {column.kind}, expected {champion_column.kind} "
                f"as the champion knows it"
            )
    if unknown := [value for value in schema.classes if expected.classes and value not in expected.classes]:
        raise DataError(
            f"{cycle.data}: label {schema.label.name}: found {unknown[0]!r}, expected one of {list(expected.classes)}"
        )
    return data, expected


def _pin_columns(data: DataConfig, schema: Schema) -> DataConfig:
    names = tuple(column.name for column in schema.features)
    return replace(
        data,
        label=schema.label.name,
        include=names,
        exclude=(),
        keep=(),
        categories=tuple(name for name in data.categories if name in names),
        types={name: kind for name, kind in data.types.items() if name in (*names, schema.label.name)},
        task=schema.task,
    )


def _strict(data: DataConfig) -> DataConfig:
    """Return settings by which a row without a label is an error, as it always is in retraining."""
    return replace(data, null_labels="refuse")


def _common_types(schema: Schema, footers: list[Footer], config: RetrainConfig) -> pa.Schema:
    """Return the columns that a cycle reads, each of a type that holds what all files have."""
    optional = (config.watermark_column, config.holdout.column, *config.gate.slices)
    names = dict.fromkeys([*(c.name for c in schema.features), schema.label.name, *(name for name in optional if name)])
    parts = []
    for footer in footers:
        if missing := [name for name in names if name not in footer.schema.names]:
            raise DataError(
                f"{footer.file.name}: no column {', '.join(missing)}; found {', '.join(footer.schema.names)}"
            )
        parts.append(pa.schema([decode_field(footer.schema.field(name)) for name in names]))
    with data_errors(", ".join(footer.file.name for footer in footers)):
        return pa.unify_schemas(parts, promote_options="permissive")


def _hold_out(writer: _RowWriter, new: Dataset, schema: Schema, config: RetrainConfig) -> tuple[Dataset, Dataset]:
    """Write the new rows that judge and those that train."""
    manifest = Manifest(fingerprint="", files=(new.file,), rows=new.rows, schema=schema)
    parts_of = assign(manifest, config.holdout)

    def rows_of(part: int) -> Iterator[pa.RecordBatch]:
        for slice, parts in with_parts(manifest, writer.types.names, parts_of):
            yield slice.rows.filter(pa.array(parts == part))

    return writer.write("test.parquet", rows_of(TEST)), writer.write("train/new.parquet", rows_of(TRAIN))


def _sample_older(writer: _RowWriter, new: list[Footer], older: list[Footer], count: int, seed: int) -> Dataset | None:
    """Write `count` older rows chosen at random, the same for the same rows; None if there are none."""
    sources = [*older, *(new if writer.time_column else [])]
    total = sum(batch.num_rows for batch in writer.read(sources, new=False)) if count else 0
    if not total:
        (writer.cycle.path / "train" / "older.parquet").unlink(missing_ok=True)
        return None
    order = Permutation(total, derive(seed, "replay"))

    def sample() -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in writer.read(sources, new=False):
            ranks = order.of(np.arange(start, start + batch.num_rows))
            yield batch.filter(pa.array(ranks < count))
            start += batch.num_rows

    return writer.write("train/older.parquet", sample())


def _challenger_config(data: DataConfig, champion: Version | None, config: RetrainConfig) -> Config:
    warm = champion is not None and config.start == "auto"
    if warm and config.train.start.scaler == "refit" and config.train.model.factory != "mlp":
        log.warning("start.scaler refit can be folded into an mlp alone; the challenger starts from scratch")
        warm = False
    warm_from = champion.path if champion and warm else None
    return replace(config.train, data=data, start=replace(config.train.start, warm_from=warm_from))
