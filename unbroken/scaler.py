"""Stage 2: features to 0 .. 1 and category codes, fitted on training rows only.

Numbers: (value - low) / (high - low), clipped to 0 .. 1; booleans are 0 and 1; a constant column is 0.
Times: the same for the instant (a linear trend), and month, day, weekday, for timestamps hour and minute too, each
divided by its own fixed range. Timestamps count in UTC.
Missing numbers and times take the training mean, and where training rows have any, a column `<name>__missing` says so.
Categories: 0 unseen in training, 1 missing, 2 and up the training values in sorted order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from unbroken.artifact import from_json
from unbroken.errors import DataError
from unbroken.features import CategoryFeature, Features
from unbroken.schema import ClassValue, Column, Kind, Schema

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]

UNSEEN, MISSING, FIRST_CODE = 0, 1, 2
MISSING_SUFFIX = "__missing"
CALENDAR = {"month": (pc.month, 1, 12), "day": (pc.day, 1, 31), "weekday": (pc.day_of_week, 0, 6)}
CLOCK = {"hour": (pc.hour, 0, 23), "minute": (pc.minute, 0, 59)}


@dataclass(frozen=True, kw_only=True)
class NumberScale:
    """How one number, boolean or time becomes columns in 0 .. 1; `low`, `high` and `fill` in its own unit, times in seconds."""

    name: str
    kind: Kind
    low: float
    high: float
    fill: float
    indicator: bool

    def names(self) -> list[str]:
        """Return the names of the columns this one becomes."""
        parts = [f"{self.name}__{part}" for part in self._parts()]
        return [self.name, *parts, *([self.name + MISSING_SUFFIX] if self.indicator else [])]

    def transform(self, column: pa.Array, path: str) -> list[Float32]:
        """Return the columns this one becomes; raise DataError on an infinite value."""
        values = as_floats(column, self.kind, f"{path}: column {self.name}")
        missing = np.isnan(values)
        filled = np.where(missing, self.fill, values)
        columns = [self._scale(filled)]
        columns += [_fraction(column, *bounds) for bounds in self._parts().values()]
        return columns + ([missing.astype(np.float32)] if self.indicator else [])

    def _scale(self, values: Float64) -> Float32:
        if self.high == self.low:
            return np.zeros(len(values), np.float32)
        scaled = (values - self.low) / (self.high - self.low)
        return np.clip(scaled, 0, 1).astype(np.float32)

    def _parts(self) -> dict[str, tuple]:
        return {"date": CALENDAR, "timestamp": CALENDAR | CLOCK}.get(self.kind, {})


@dataclass(frozen=True, kw_only=True)
class CategoryCodes:
    """The training values of a category column, sorted; value i has code i + 2."""

    name: str
    values: tuple[str, ...]

    def transform(self, column: pa.Array) -> pa.Array:
        """Return the codes of the values."""
        texts = as_texts(column)
        found = pc.index_in(texts, value_set=pa.array(self.values, pa.string()))
        codes = pc.fill_null(pc.add(found, FIRST_CODE), UNSEEN)
        return pc.if_else(pc.is_null(texts), MISSING, codes).cast(pa.int32())


@dataclass(frozen=True, kw_only=True)
class LabelScale:
    """Classes in the order of their codes, or for regression the training mean and standard deviation."""

    column: Column
    classes: tuple[ClassValue, ...]
    mean: float
    deviation: float

    def transform(self, column: pa.Array, path: str) -> pa.Array:
        """Return class codes as int64, or standardised float32 values; raise DataError on an unknown class."""
        if not self.classes:
            values = as_floats(column, self.column.kind, f"{path}: label {self.column.name}")
            return pa.array(((values - self.mean) / self.deviation).astype(np.float32))
        plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        codes = pc.index_in(plain, value_set=pa.array(self.classes).cast(plain.type))
        if codes.null_count:
            value = plain.filter(pc.is_null(codes))[0].as_py()
            raise DataError(f"{path}: label {self.column.name}: found {value!r}, expected one of {list(self.classes)}")
        return codes.cast(pa.int64())


@dataclass(frozen=True, kw_only=True)
class Scaler:
    """All that was fitted: enough to turn raw rows into the model's inputs, here and anywhere later."""

    schema: Schema
    numbers: tuple[NumberScale, ...]
    categories: tuple[CategoryCodes, ...]
    label: LabelScale

    @property
    def features(self) -> Features:
        """What the model sees."""
        return Features(
            numbers=tuple(name for scale in self.numbers for name in scale.names()),
            categories=tuple(CategoryFeature(name=c.name, codes=FIRST_CODE + len(c.values)) for c in self.categories),
            label=self.label.column.name,
            task=self.schema.task,
            classes=self.schema.classes,
        )

    def transform(self, batch: pa.RecordBatch, path: str) -> pa.RecordBatch:
        """Return raw rows as float32 numbers in 0 .. 1, int32 category codes and the label, in the features' order."""
        arrays = [pa.array(part) for scale in self.numbers for part in scale.transform(batch.column(scale.name), path)]
        arrays += [codes.transform(batch.column(codes.name)) for codes in self.categories]
        arrays.append(self.label.transform(batch.column(self.label.column.name), path))
        return pa.RecordBatch.from_arrays(arrays, names=self.features.columns)

    @classmethod
    def load(cls, path: Path) -> "Scaler":
        """Read a scaler back from its file."""
        return from_json(cls, path.read_bytes(), str(path))


def as_floats(column: pa.Array, kind: Kind, subject: str) -> Float64:
    """Return a number, boolean or time column as float64 with NaN for missing; raise DataError on what cannot be one."""
    if kind in {"timestamp", "date"}:
        column = column.cast(pa.timestamp("us")).cast(pa.int64())
    try:
        values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid as error:
        raise DataError(f"{subject}: cannot be a 64-bit float: {error}. Divide it, or leave it out") from error
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise DataError(
            f"{subject}: found {values[row]}, expected finite numbers; make it null or leave the column out"
        )
    return values / 1e6 if kind in ("timestamp", "date") else values


def as_texts(column: pa.Array) -> pa.Array:
    """Return a category column as plain strings."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.string())


def _fraction(column: pa.Array, part: Callable[[pa.Array], pa.Array], first: int, last: int) -> Float32:
    values = pc.fill_null(part(column).cast(pa.float32()), float(first)).to_numpy(zero_copy_only=False)
    return (values - np.float32(first)) / np.float32(last - first)
