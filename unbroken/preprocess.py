"""Stage 2: fit the scaler on the training rows in one pass, transform all rows in another."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from unbroken import atomic, table
from unbroken.artifact import Artifact, Dataset, to_json
from unbroken.config import PreprocessConfig, SplitConfig
from unbroken.errors import DataError
from unbroken.load_data import read_manifest
from unbroken.randomness import Permutation, derive
from unbroken.run import Run
from unbroken.scaler import CategoryCodes, Float64, LabelScale, NumberScale, Scaler, as_floats, as_texts
from unbroken.schema import Column, Schema
from unbroken.split import TRAIN, with_parts
from unbroken.table import Manifest, Writer

QUANTILE_ROWS = 1 << 20
"""A quantile is exact up to so many rows, beyond that it is that of so many rows chosen at random."""


@dataclass(frozen=True, kw_only=True)
class Preprocessed:
    """All rows, scaled, and the scaler that did it."""

    dataset: Dataset
    scaler: Artifact

    def __str__(self) -> str:
        return f"{self.dataset} in 0 .. 1"


def preprocess(source: Dataset, config: PreprocessConfig, split: SplitConfig, run: Run) -> Preprocessed:
    """Write all rows as the model's inputs; the scaler learns from the rows that the split will call training rows."""
    manifest = read_manifest(source)
    scaler = fit(manifest, config, split)
    scaler_path, path = run.data / "scaler.json", run.data / "preprocessed.parquet"
    atomic.write(scaler_path, to_json(scaler, indent=1))
    columns = _columns(manifest.schema)
    with Writer(path, _arrow_schema(scaler)) as writer:
        for file in manifest.files:
            for batch in table.read([file], columns):
                writer.write(scaler.transform(batch, file.url))
    return Preprocessed(dataset=writer.dataset(), scaler=Artifact.of(scaler_path))


def fit(manifest: Manifest, config: PreprocessConfig, split: SplitConfig) -> Scaler:
    """Fit a scaler on the training rows of a dataset in one streaming pass."""
    schema = manifest.schema
    numbers = [_NumberFit(column) for column in schema.features if column.kind != "category"]
    categories = [_CategoryFit(column) for column in schema.features if column.kind == "category"]
    label = _LabelFit(schema)
    sampled = _quantile_sample(manifest.rows) if config.clip_quantile else None
    start = 0
    for batch, parts in with_parts(manifest, _columns(schema), split):
        training = parts == TRAIN
        rows = batch.filter(pa.array(training))
        sample = sampled(start, start + batch.num_rows)[training] if sampled else None
        for fitting in (*numbers, *categories, label):
            fitting.add(rows.column(fitting.column.name), sample)
        start += batch.num_rows
    return Scaler(
        schema=schema,
        numbers=tuple(fitting.scale(config) for fitting in numbers),
        categories=tuple(fitting.codes(config) for fitting in categories),
        label=label.scale(),
    )


@dataclass
class _NumberFit:
    column: Column
    low: float = np.inf
    high: float = -np.inf
    total: float = 0.0
    count: int = 0
    missing: int = 0
    sample: list[Float64] = field(default_factory=list)

    def add(self, column: pa.Array, sampled: np.ndarray | None) -> None:
        values = as_floats(column, self.column.kind, f"column {self.column.name}")
        if sampled is not None:
            self.sample.append(values[sampled & ~np.isnan(values)])
        values = values[~np.isnan(values)]
        self.missing += len(column) - len(values)
        if len(values):
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
            self.total, self.count = self.total + float(values.sum()), self.count + len(values)

    def scale(self, config: PreprocessConfig) -> NumberScale:
        if not self.count:
            raise DataError(
                f"column {self.column.name}: found no value in any training row; leave it out with data.exclude"
            )
        low, high = self.low, self.high
        if config.clip_quantile:
            bounds = np.quantile(np.concatenate(self.sample), [config.clip_quantile, 1 - config.clip_quantile])
            low, high = (float(bound) for bound in bounds)
        name, kind, fill = self.column.name, self.column.kind, self.total / self.count
        return NumberScale(name=name, kind=kind, low=low, high=high, fill=fill, indicator=self.missing > 0)


@dataclass
class _CategoryFit:
    column: Column
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, column: pa.Array, _: np.ndarray | None) -> None:
        for entry in pc.value_counts(as_texts(column).drop_null()).to_pylist():
            self.counts[entry["values"]] += entry["counts"]

    def codes(self, config: PreprocessConfig) -> CategoryCodes:
        by_frequency = sorted(self.counts, key=lambda value: (-self.counts[value], value))
        return CategoryCodes(name=self.column.name, values=tuple(sorted(by_frequency[: config.max_categories])))


@dataclass
class _LabelFit:
    schema: Schema
    total: float = 0.0
    squares: float = 0.0
    count: int = 0
    seen: set[object] = field(default_factory=set)

    @property
    def column(self) -> Column:
        return self.schema.label

    def add(self, column: pa.Array, _: np.ndarray | None) -> None:
        if self.schema.classes:
            self.seen.update(pc.unique(column).to_pylist())
            return
        values = as_floats(column, self.column.kind, f"label {self.column.name}")
        self.total += float(values.sum())
        self.squares += float((values * values).sum())
        self.count += len(values)

    def scale(self) -> LabelScale:
        classes = self.schema.classes
        if classes:
            if unseen := [value for value in classes if value not in self.seen]:
                raise DataError(
                    f"label {self.column.name}: class {unseen[0]!r} is in no training row; "
                    f"use split.kind stratified, another split.seed, or drop its rows"
                )
            return LabelScale(column=self.column, classes=classes, mean=0.0, deviation=1.0)
        mean = self.total / self.count
        deviation = float(np.sqrt(max(self.squares / self.count - mean * mean, 0.0)))
        return LabelScale(column=self.column, classes=(), mean=mean, deviation=deviation or 1.0)


def _columns(schema: Schema) -> list[str]:
    return [*(column.name for column in schema.features), schema.label.name]


def _quantile_sample(rows: int) -> Callable[[int, int], NDArray[np.bool_]]:
    order = Permutation(rows, derive(0, "quantile"))
    return lambda start, stop: order.of(np.arange(start, stop)) < QUANTILE_ROWS


def _arrow_schema(scaler: Scaler) -> pa.Schema:
    features = scaler.features
    if len(set(features.columns)) < len(features.columns):
        twice = sorted({name for name in features.columns if features.columns.count(name) > 1})
        raise DataError(
            f"columns {', '.join(twice)}: the names of derived columns are taken; rename them in the source"
        )
    fields = [pa.field(name, pa.float32()) for name in features.numbers]
    fields += [pa.field(category.name, pa.int32()) for category in features.categories]
    return pa.schema([*fields, pa.field(features.label, pa.int64() if features.classes else pa.float32())])
