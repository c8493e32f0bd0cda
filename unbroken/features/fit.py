"""Fit an encoder on the training rows in one streaming pass."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from unbroken.config import PreprocessConfig
from unbroken.data.dataset import Manifest, Slice
from unbroken.data.kinds import Floats, as_labels, as_stored_floats, as_texts
from unbroken.data.permutation import Index, Permutation, derive
from unbroken.data.schema import Column, Schema
from unbroken.data.split import TRAIN, PartsOf, with_parts
from unbroken.errors import DataError
from unbroken.features.encoder import CategoryCodes, Encoder, LabelScale, NumberScale
from unbroken.features.moments import Moments

Mask = NDArray[np.bool_]

QUANTILE_ROWS = 1 << 20
"""A quantile is exact up to so many rows, beyond that it is that of so many rows chosen at random."""


def fit(manifest: Manifest, config: PreprocessConfig, parts_of: PartsOf) -> Encoder:
    """Fit an encoder on the training rows of a dataset in one streaming pass.

    Args:
        manifest: The dataset; its schema says which columns are fitted.
        config: How they become numbers in 0 .. 1 and codes.
        parts_of: Which part each row belongs to; only TRAIN is learnt from.

    Raises:
        DataError: A value fits no column, or the training rows lack a column's values or a class.
    """
    schema = manifest.schema
    numbers = [_NumberFit(column) for column in schema.features if not column.coded]
    categories = [_CategoryFit(column) for column in schema.features if column.coded]
    label = _LabelFit(schema)
    sample_of = _quantile_sample(manifest.rows) if config.clip_quantile else None
    start = 0
    for part, parts in with_parts(manifest, column_names(schema), parts_of):
        training = np.flatnonzero(parts == TRAIN)
        sample = sample_of(start, start + len(part))[training] if sample_of else None
        for fitting in (*numbers, *categories, label):
            fitting.add(part, training, sample)
        start += len(part)
    source = manifest.files[0].name
    return Encoder(
        schema=schema,
        numbers=tuple(fitting.scale(config, source) for fitting in numbers),
        categories=tuple(fitting.codes(config, source) for fitting in categories),
        label=label.scale(source),
        formats=_formats_of(manifest),
    )


def _formats_of(manifest: Manifest) -> dict[str, str]:
    names = set(column_names(manifest.schema))
    formats = [entry for file in reversed(manifest.files) for entry in file.formats.items()]
    return dict(sorted({name: form for name, form in formats if name in names}.items()))


@dataclass
class _NumberFit:
    column: Column
    low: float = np.inf
    high: float = -np.inf
    moments: Moments = field(default_factory=Moments)
    missing: int = 0
    sample: list[Floats] = field(default_factory=list)

    def add(self, part: Slice, training: Index, sample: Mask | None) -> None:
        name, kind = self.column.name, self.column.kind
        values = as_stored_floats(part.column(name), name, kind, part.subject).take(training)
        missing = np.isnan(values)
        if sample is not None:
            self.sample.append(values[sample & ~missing])
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
        texts = (
            as_texts(part.column(self.column.name), self.column.name, part.subject).take(pa.array(training)).drop_null()
        )
        for entry in pc.value_counts(texts).to_pylist():
            self.counts[entry["values"]] += entry["counts"]

    def codes(self, config: PreprocessConfig, source: str) -> CategoryCodes:
        _require_value(len(self.counts), self.column, source)
        frequent = [value for value, count in self.counts.items() if count >= config.least_count]
        by_frequency = sorted(frequent, key=lambda value: (-self.counts[value], value))
        return CategoryCodes(name=self.column.name, values=tuple(sorted(by_frequency[: config.max_categories])))


@dataclass
class _LabelFit:
    schema: Schema
    moments: Moments = field(default_factory=lambda: Moments(spread=True))
    classes: set[object] = field(default_factory=set)

    def add(self, part: Slice, training: Index, _: Mask | None) -> None:
        label = self.schema.label
        column = part.column(label.name)
        if not self.schema.classes:
            self.moments.add(as_stored_floats(column, label.name, label.kind, part.subject).take(training))
        elif len(self.classes) < len(self.schema.classes):
            labels = as_labels(column, label.name, part.subject).take(pa.array(training))
            self.classes.update(pc.unique(labels).to_pylist())

    def scale(self, source: str) -> LabelScale:
        label, classes = self.schema.label, self.schema.classes
        if absent := [value for value in classes if value not in self.classes]:
            raise DataError(
                f"{source}: label {label.name}: class {absent[0]!r} is in no training row; "
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


def column_names(schema: Schema) -> list[str]:
    """Return the features and the label, in order."""
    return [*(column.name for column in schema.features), schema.label.name]


def _quantile_sample(rows: int) -> Callable[[int, int], Mask]:
    order = Permutation(rows, derive(0, "quantile"))
    return lambda start, stop: order.of(np.arange(start, stop)) < QUANTILE_ROWS
