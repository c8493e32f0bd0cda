"""New rows under the champion's column contract: some held out to judge, the others, with some older ones, to train."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from unbroken.config import Config, DataConfig, RetrainConfig
from unbroken.data.contract import check_contract
from unbroken.data.dataset import Dataset, Manifest, Slice, TableFile
from unbroken.data.dictionary import decode_field
from unbroken.data.footers import Footer
from unbroken.data.parquet import Writer, read_slices
from unbroken.data.permutation import Permutation, derive
from unbroken.data.schema import Schema
from unbroken.data.sources import read_errors
from unbroken.data.split import TEST, TRAIN, assign, with_parts
from unbroken.errors import DataError
from unbroken.features.encoder import Encoder
from unbroken.retraining import watermark
from unbroken.retraining.new_data import Cycle, blocking, footers_of, registry_of
from unbroken.serving.registry import Version

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CycleDatasets:
    """Raw rows: all new ones, those of them that judge, those that train, older ones beside these; the challenger's settings."""

    fresh: Dataset
    test: Dataset
    train: Dataset
    replay: Dataset | None
    schema: Schema
    config: Config

    @property
    def training_files(self) -> list[TableFile]:
        """The rows that the challenger is trained on."""
        return [as_file(part) for part in (self.train, self.replay) if part]

    def __str__(self) -> str:
        older = f" and {self.replay.rows:,} older" if self.replay else ""
        return f"{self.test.rows:,} new rows judge, {self.train.rows:,} new{older} train"


def prepare_data(found: Cycle, config: RetrainConfig) -> CycleDatasets:
    """Write the rows of a round; what does not fit the champion's contract raises DataError and is noted in the audit log."""
    with blocking(registry_of(config), found.data):
        new = footers_of(found.new, found.path / "converted")
        older = footers_of(found.older, found.path / "converted-older") if config.replay else []
        data, schema = _contract(new, found, config)
        rows = _RowWriter(found, config.watermark_column, _types(schema, [*new, *older], config))
        fresh = rows.write("fresh.parquet", rows.read(new, new=True))
        test, train = _hold_out(rows, fresh, schema, config)
        replay = _replay(rows, new, older, round(config.replay * train.rows), config.holdout.seed)
    data = replace(data, source=str(found.path / "train"))
    return CycleDatasets(
        fresh=fresh,
        test=test,
        train=train,
        replay=replay,
        schema=schema,
        config=_challenger(data, found.champion, config),
    )


def as_file(dataset: Dataset) -> TableFile:
    """Return a dataset of one file as a file to read."""
    return TableFile(url=dataset.path, rows=dataset.rows)


@dataclass(frozen=True, slots=True)
class _RowWriter:
    """Reads the rows of a round as columns of one type each, and writes them to its folder."""

    found: Cycle
    time: str | None
    types: pa.Schema

    def read(self, footers: list[Footer], *, new: bool) -> Iterator[pa.RecordBatch]:
        """Yield the rows that are new, or those that are not."""
        files = [footer.file for footer in footers]
        parts = (
            watermark.split_rows(files, self.types.names, self.time, self.found.before, new=new)
            if self.time
            else read_slices(files, self.types.names)
        )
        for part in parts:
            with read_errors(part.file.name):
                yield self._typed(part)

    def write(self, name: str, batches: Iterator[pa.RecordBatch]) -> Dataset:
        with Writer(self.found.path / name, self.types) as writer:
            for batch in batches:
                writer.write(batch)
        if not writer.rows:
            raise DataError(f"{self.found.data}: found no row for {name}, expected at least one")
        return writer.dataset()

    def _typed(self, part: Slice) -> pa.RecordBatch:
        columns = [column.cast(field.type) for column, field in zip(part.rows.columns, self.types, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=self.types)


def _contract(new: list[Footer], found: Cycle, config: RetrainConfig) -> tuple[DataConfig, Schema]:
    """Return the data settings and columns of the challenger: those of the champion, if there is one."""
    data = config.train.data
    if found.champion is None:
        return _pinned(data, schema := check_contract(new, data, "").schema), schema
    expected = Encoder.of_published(Path(found.champion.path), found.champion.digest).schema
    data = _pinned(data, expected)
    schema = check_contract(new, data, "").schema
    for one, other in zip((*schema.features, schema.label), (*expected.features, expected.label), strict=True):
        if one != other:
            raise DataError(
                f"{found.data}: column {one.name}: found {one.kind}, expected {other.kind} as the champion knows it"
            )
    if unknown := [value for value in schema.classes if expected.classes and value not in expected.classes]:
        raise DataError(
            f"{found.data}: label {schema.label.name}: found {unknown[0]!r}, expected one of {list(expected.classes)}"
        )
    return data, expected


def _pinned(data: DataConfig, schema: Schema) -> DataConfig:
    names = tuple(column.name for column in schema.features)
    categories = tuple(name for name in data.categories if name in names)
    return replace(data, label=schema.label.name, include=names, exclude=(), categories=categories, task=schema.task)


def _types(schema: Schema, footers: list[Footer], config: RetrainConfig) -> pa.Schema:
    """Return the columns that a round reads, each of a type that holds what all files have."""
    further = (config.watermark_column, config.holdout.column, *config.gate.slices)
    names = dict.fromkeys([*(c.name for c in schema.features), schema.label.name, *(name for name in further if name)])
    parts = []
    for footer in footers:
        if missing := [name for name in names if name not in footer.schema.names]:
            raise DataError(
                f"{footer.file.name}: no column {', '.join(missing)}; found {', '.join(footer.schema.names)}"
            )
        parts.append(pa.schema([decode_field(footer.schema.field(name)) for name in names]))
    with read_errors(", ".join(footer.file.name for footer in footers)):
        return pa.unify_schemas(parts, promote_options="permissive")


def _hold_out(rows: _RowWriter, fresh: Dataset, schema: Schema, config: RetrainConfig) -> tuple[Dataset, Dataset]:
    manifest = Manifest(fingerprint="", files=(as_file(fresh),), schema=schema)
    parts_of = assign(manifest, config.holdout)

    def of(wanted: int) -> Iterator[pa.RecordBatch]:
        for part, parts in with_parts(manifest, rows.types.names, parts_of):
            yield part.rows.filter(pa.array(parts == wanted))

    return rows.write("test.parquet", of(TEST)), rows.write("train/new.parquet", of(TRAIN))


def _replay(rows: _RowWriter, new: list[Footer], older: list[Footer], wanted: int, seed: int) -> Dataset | None:
    """Write some older rows chosen at random, the same for the same rows; None if there are none."""
    sources = [*older, *(new if rows.time else [])]
    total = sum(batch.num_rows for batch in rows.read(sources, new=False)) if wanted else 0
    if not total:
        (rows.found.path / "train" / "older.parquet").unlink(missing_ok=True)
        return None
    order = Permutation(total, derive(seed, "replay"))

    def chosen() -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in rows.read(sources, new=False):
            places = np.arange(start, start + batch.num_rows)
            yield batch.filter(pa.array(order.of(places) < wanted))
            start += batch.num_rows

    return rows.write("train/older.parquet", chosen())


def _challenger(data: DataConfig, champion: Version | None, config: RetrainConfig) -> Config:
    warm = champion is not None and config.start == "auto"
    if warm and config.train.start.scaler == "refit" and config.train.model.factory != "mlp":
        log.warning("start.scaler refit can be folded into an mlp alone; the challenger starts from scratch")
        warm = False
    warm_from = champion.path if champion and warm else None
    return replace(config.train, data=data, start=replace(config.train.start, warm_from=warm_from))
