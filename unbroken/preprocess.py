"""Stage 2: fit the scaler on the training rows in one pass, transform all rows in another."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from unbroken import atomic, table
from unbroken.artifact import Artifact, Dataset, to_json
from unbroken.config import PreprocessConfig, SplitConfig, StartConfig
from unbroken.errors import DataError
from unbroken.load_data import read_manifest
from unbroken.prefetch import prefetch
from unbroken.randomness import Index, Permutation, derive
from unbroken.run import Run, undone_if_bad
from unbroken.scaler import (
    CategoryCodes,
    Float64,
    Floats,
    LabelScale,
    NumberScale,
    Scaler,
    as_labels,
    as_stored_floats,
    as_texts,
)
from unbroken.schema import Column, Schema
from unbroken.split import TRAIN, with_parts
from unbroken.table import Manifest, Slice, Writer

Mask = NDArray[np.bool_]

SCRATCH = StartConfig()

QUANTILE_ROWS = 1 << 20
"""A quantile is exact up to so many rows, beyond that it is that of so many rows chosen at random."""

MOMENT_ROWS = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Preprocessed:
    """All rows, scaled, and the scaler that did it."""

    dataset: Dataset
    scaler: Artifact

    def __str__(self) -> str:
        return f"{self.dataset} in 0 .. 1"


def preprocess(
    source: Dataset, config: PreprocessConfig, split: SplitConfig, run: Run, start: StartConfig = SCRATCH
) -> Preprocessed:
    """Write all rows as the model's inputs; the scaler learns from the rows that the split will call training rows.

    In a warm start it is that of the checkpoint, or, if refitted, keeps its columns and categories.
    Raise DataError naming file and row of a value that fits no column, and leave no new run behind.
    """
    with undone_if_bad(run):
        manifest = read_manifest(source)
        scaler = _fit_or_keep(manifest, config, split, run, start)
        scaler_path, path = run.data / "scaler.json", run.data / "preprocessed.parquet"
        schema = _arrow_schema(scaler, manifest.files[0].name)
        atomic.write(scaler_path, to_json(scaler, indent=1))
        with Writer(path, schema) as writer:
            parts = table.read(manifest.files, _columns(scaler.schema))
            for batch in prefetch(scaler.transform(part.rows, part.subject) for part in parts):
                writer.write(batch)
    return Preprocessed(dataset=writer.dataset(), scaler=Artifact.of(scaler_path))


def _fit_or_keep(
    manifest: Manifest, config: PreprocessConfig, split: SplitConfig, run: Run, start: StartConfig
) -> Scaler:
    if start.warm_from is None:
        return fit(manifest, config, split)
    kept = Scaler.of_published(Path(start.warm_from), run.parent)
    found = {column.name: column.kind for column in (*manifest.schema.features, manifest.schema.label)}
    for column in (*kept.schema.features, kept.schema.label):
        if found.get(column.name) != column.kind:
            raise DataError(
                f"{manifest.files[0].name}: column {column.name}: found {found.get(column.name, 'no such column')}, "
                f"expected {column.kind} as in {start.warm_from}"
            )
    if start.scaler == "keep":
        return kept
    return kept.widened(fit(replace(manifest, schema=kept.schema), config, split), config.max_categories)


def fit(manifest: Manifest, config: PreprocessConfig, split: SplitConfig) -> Scaler:
    """Fit a scaler on the training rows of a dataset in one streaming pass."""
    schema = manifest.schema
    numbers = [_NumberFit(column) for column in schema.features if column.kind != "category"]
    categories = [_CategoryFit(column) for column in schema.features if column.kind == "category"]
    label = _LabelFit(schema)
    sampled = _quantile_sample(manifest.rows) if config.clip_quantile else None
    start = 0
    for part, parts in with_parts(manifest, _columns(schema), split):
        training = np.flatnonzero(parts == TRAIN)
        sample = sampled(start, start + len(part))[training] if sampled else None
        for fitting in (*numbers, *categories, label):
            fitting.add(part, training, sample)
        start += len(part)
    source = manifest.files[0].name
    return Scaler(
        schema=schema,
        numbers=tuple(fitting.scale(config, source) for fitting in numbers),
        categories=tuple(fitting.codes(config, source) for fitting in categories),
        label=label.scale(source),
    )


@dataclass
class _Moments:
    """Mean, and squared deviations if asked for: the pairwise update of Chan, Golub and LeVeque (1979), which loses no digits.

    Values are taken in by MOMENT_ROWS at a time, so that the bits do not depend on how many come at once.
    """

    spread: bool = False
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    _folded: int = 0
    _waiting: Float64 = field(default_factory=lambda: np.empty(MOMENT_ROWS))

    def add(self, values: Floats) -> None:
        while len(values):
            place = self.count - self._folded
            taken = values[: MOMENT_ROWS - place]
            self._waiting[place : place + len(taken)] = taken
            self.count += len(taken)
            values = values[len(taken) :]
            if self.count - self._folded == MOMENT_ROWS:
                self.fold()

    def fold(self) -> None:
        """Take in the values that wait; call it once more after the last."""
        added = self.count - self._folded
        if not added:
            return
        values, total = self._waiting[:added], self.count
        with np.errstate(over="ignore", invalid="ignore"):
            # Divided before they are added up, since a sum of large values can overflow where the mean does not.
            mean = float(np.divide(values, added, out=None if self.spread else values).sum())
            if self.spread:
                apart = np.float64(mean) - self.mean
                self.squares += float(((values - mean) ** 2).sum() + apart * apart * (self._folded * added / total))
        self.mean = self.mean * (self._folded / total) + mean * (added / total)
        self._folded = total


@dataclass
class _NumberFit:
    column: Column
    low: float = np.inf
    high: float = -np.inf
    moments: _Moments = field(default_factory=_Moments)
    missing: int = 0
    sample: list[Floats] = field(default_factory=list)

    def add(self, part: Slice, training: Index, sampled: Mask | None) -> None:
        name, kind = self.column.name, self.column.kind
        values = as_stored_floats(part.column(name), name, kind, part.subject).take(training)
        missing = np.isnan(values)
        if sampled is not None:
            self.sample.append(values[sampled & ~missing])
        if missing.any():
            values = values[~missing]
            self.missing += len(missing) - len(values)
        self.moments.add(values)
        self.low, self.high = values.min(initial=self.low), values.max(initial=self.high)

    def scale(self, config: PreprocessConfig, source: str) -> NumberScale:
        _require_value(self.moments.count, self.column, source)
        self.moments.fold()
        low, high = self._bounds(config.clip_quantile)
        indicator = self.missing > 0
        name, kind, fill = self.column.name, self.column.kind, self.moments.mean
        return NumberScale(name=name, kind=kind, low=low, high=high, fill=fill, indicator=indicator)

    def _bounds(self, clip_quantile: float) -> tuple[float, float]:
        """Return the quantiles, or least and largest where no quantile is asked for or the quantiles coincide."""
        values = np.concatenate(self.sample) if clip_quantile else np.empty(0)
        if len(values):
            low, high = np.quantile(values, [clip_quantile, 1 - clip_quantile], method="nearest")
            if low < high:
                return float(low), float(high)
        return float(self.low), float(self.high)


@dataclass
class _CategoryFit:
    column: Column
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, part: Slice, training: Index, _: Mask | None) -> None:
        texts = as_texts(part.column(self.column.name)).take(pa.array(training)).drop_null()
        for entry in pc.value_counts(texts).to_pylist():
            self.counts[entry["values"]] += entry["counts"]

    def codes(self, config: PreprocessConfig, source: str) -> CategoryCodes:
        _require_value(len(self.counts), self.column, source)
        by_frequency = sorted(self.counts, key=lambda value: (-self.counts[value], value))
        return CategoryCodes(name=self.column.name, values=tuple(sorted(by_frequency[: config.max_categories])))


@dataclass
class _LabelFit:
    schema: Schema
    moments: _Moments = field(default_factory=lambda: _Moments(spread=True))
    seen: set[object] = field(default_factory=set)

    def add(self, part: Slice, training: Index, _: Mask | None) -> None:
        label = self.schema.label
        column = part.column(label.name)
        if not self.schema.classes:
            self.moments.add(as_stored_floats(column, label.name, label.kind, part.subject).take(training))
        elif len(self.seen) < len(self.schema.classes):
            labels = as_labels(column, label.name, part.subject).take(pa.array(training))
            self.seen.update(pc.unique(labels).to_pylist())

    def scale(self, source: str) -> LabelScale:
        label, classes = self.schema.label, self.schema.classes
        if unseen := [value for value in classes if value not in self.seen]:
            raise DataError(
                f"{source}: label {label.name}: class {unseen[0]!r} is in no training row; "
                f"use split.kind stratified, another split.seed, or drop its rows"
            )
        if classes:
            return LabelScale(column=label, classes=classes, mean=0.0, deviation=1.0)
        self.moments.fold()
        deviation = float(np.sqrt(self.moments.squares / self.moments.count))
        if not np.isfinite(deviation):
            raise DataError(f"{source}: label {label.name}: too large to be squared as 64-bit floats; divide it")
        return LabelScale(column=label, classes=(), mean=self.moments.mean, deviation=deviation or 1.0)


def _require_value(count: int, column: Column, source: str) -> None:
    if not count:
        raise DataError(
            f"{source}: column {column.name}: found no value in any training row; leave it out with data.exclude"
        )


def _columns(schema: Schema) -> list[str]:
    return [*(column.name for column in schema.features), schema.label.name]


def _quantile_sample(rows: int) -> Callable[[int, int], Mask]:
    order = Permutation(rows, derive(0, "quantile"))
    return lambda start, stop: order.of(np.arange(start, stop)) < QUANTILE_ROWS


def _arrow_schema(scaler: Scaler, source: str) -> pa.Schema:
    features = scaler.features
    if len(set(features.columns)) < len(features.columns):
        twice = sorted({name for name in features.columns if features.columns.count(name) > 1})
        raise DataError(
            f"{source}: column {', '.join(twice)}: the name is needed for a derived column; rename it in the source"
        )
    types = [pa.float32()] * len(features.numbers) + [pa.int32()] * len(features.categories)
    types.append(pa.int64() if features.classes else pa.float32())
    # No value is missing any more: Parquet then has nothing to say of it, which saves a third of the time.
    return pa.schema([pa.field(name, type, nullable=False) for name, type in zip(features.columns, types, strict=True)])
