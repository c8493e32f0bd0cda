"""Stage 2: features to 0 .. 1 and category codes, fitted on training rows only.

Numbers: (value - low) / (high - low), clipped to 0 .. 1; booleans are 0 and 1; a constant column is 0.
Times: the same for the instant (a linear trend), and month, day, weekday, for timestamps hour and minute too, each
divided by its own fixed range. Timestamps count in UTC.
Missing numbers (null or NaN) and times take the training mean, and where training rows have any, a column
`<name>__missing` says so.
Categories: 0 unseen in training, 1 missing, 2 and up the training values in sorted order.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unbroken.data.kinds import (
    INSTANT,
    KINDS,
    CalendarPart,
    Float32,
    Floats,
    Kind,
    Subject,
    as_floats,
    as_labels,
    as_stored_floats,
    as_texts,
)
from unbroken.data.schema import ClassValue, Column, Schema
from unbroken.errors import DataError
from unbroken.features.spec import CategoryFeature, FeatureSpec
from unbroken.storage.artifact import from_json
from unbroken.storage.publication import read_manifest, require_manifest

UNSEEN, MISSING, FIRST_CODE = 0, 1, 2
MISSING_SUFFIX = "__missing"


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
        parts = [f"{self.name}__{part.name}" for part in self._parts()]
        return [self.name, *parts, *([self.name + MISSING_SUFFIX] if self.indicator else [])]

    def transform(self, column: pa.Array, subject: Subject) -> list[Float32]:
        """Return the columns this one becomes, each in 0 .. 1, in the order of `names`.

        Args:
            column: Raw values, dictionaries decoded.
            subject: Names a row in a message.

        Raises:
            DataError: A value is no finite 64-bit float.
        """
        values = as_stored_floats(column, self.name, self.kind, subject)
        missing = np.isnan(values)
        if missing.any():
            values = np.where(missing, np.float64(self.fill), values)
        columns = [self._scale(values)]
        if parts := self._parts():
            instants = column.cast(INSTANT, safe=False)
            columns += [part.fractions(instants) for part in parts]
        return columns + ([missing.astype(np.float32)] if self.indicator else [])

    def _scale(self, values: Floats) -> Float32:
        if self.high == self.low:
            return np.zeros(len(values), np.float32)
        # Halves of the largest floats can be subtracted where the floats themselves would overflow.
        part = 1.0 if np.isfinite(self.high - self.low) else 0.5
        with np.errstate(over="ignore"):
            halved = values if part == 1 else values * part
            scaled = np.subtract(halved, self.low * part, dtype=np.float64)
            scaled /= self.high * part - self.low * part
        return np.clip(scaled, 0, 1, out=scaled).astype(np.float32)

    def _parts(self) -> tuple[CalendarPart, ...]:
        return KINDS[self.kind].parts


@dataclass(frozen=True, kw_only=True)
class CategoryCodes:
    """The training values of a category column, sorted; value i has code i + 2."""

    name: str
    values: tuple[str, ...]

    def transform(self, column: pa.Array, subject: Subject) -> pa.Array:
        """Return the codes of the values."""
        texts = as_texts(column, self.name, subject)
        indices = pc.index_in(texts, value_set=pa.array(self.values, pa.string()))
        codes = pc.fill_null(pc.add(indices, FIRST_CODE), UNSEEN)
        return pc.if_else(pc.is_null(texts), MISSING, codes).cast(pa.int32())


@dataclass(frozen=True, kw_only=True)
class LabelScale:
    """Classes in the order of their codes, or for regression the training mean and standard deviation."""

    column: Column
    classes: tuple[ClassValue, ...]
    mean: float
    deviation: float

    def transform(self, column: pa.Array, subject: Subject) -> pa.Array:
        """Return class codes as int64, or standardised float32 values; raise DataError on an unknown class."""
        if not self.classes:
            values = as_floats(column, self.column.name, self.column.kind, subject)
            return pa.array(((values - self.mean) / self.deviation).astype(np.float32))
        labels, classes = as_labels(column, self.column.name, subject), pa.array(self.classes)
        try:
            classes = classes.cast(labels.type)
        except pa.ArrowInvalid:  # a class that these rows have no room for
            labels = labels.cast(classes.type)
        codes = pc.index_in(labels, value_set=classes)
        if codes.null_count:
            row = pc.index(pc.is_null(codes), True).as_py()
            label = labels[row].as_py()
            raise DataError(f"{subject(self.column.name, row)}: found {label!r}, expected one of {list(self.classes)}")
        return codes.cast(pa.int64())


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """All that was fitted: enough to turn raw rows into the model's inputs, here and anywhere later.

    `formats` says of columns of CSV files how they were written, where a few cells alone would not tell it.
    """

    schema: Schema
    numbers: tuple[NumberScale, ...]
    categories: tuple[CategoryCodes, ...]
    label: LabelScale
    formats: dict[str, str] = field(default_factory=dict)

    @property
    def features(self) -> FeatureSpec:
        """What the model sees."""
        return FeatureSpec(
            numbers=tuple(name for scale in self.numbers for name in scale.names()),
            categories=tuple(CategoryFeature(name=c.name, codes=FIRST_CODE + len(c.values)) for c in self.categories),
            label=self.label.column.name,
            task=self.schema.task,
            classes=self.schema.classes,
        )

    def transform(self, rows: pa.RecordBatch, subject: Subject) -> pa.RecordBatch:
        """Return raw rows as float32 numbers in 0 .. 1, int32 category codes and the label, in the features' order."""
        inputs = self.transform_inputs(rows, subject)
        label = self.label.transform(rows.column(self.label.column.name), subject)
        return inputs.append_column(self.label.column.name, label)

    def transform_inputs(self, rows: pa.RecordBatch, subject: Subject) -> pa.RecordBatch:
        """Return raw rows, which need no label, as the model's inputs."""
        arrays = [
            pa.array(part) for scale in self.numbers for part in scale.transform(rows.column(scale.name), subject)
        ]
        arrays += [codes.transform(rows.column(codes.name), subject) for codes in self.categories]
        return pa.RecordBatch.from_arrays(arrays, names=self.features.columns[:-1])

    def widen(self, new: "Encoder", max_categories: int) -> "Encoder":
        """Return the ranges of an encoder fitted to newer rows, with the categories, indicators and label of this one kept.

        Args:
            new: Fitted to newer rows of the same columns.
            max_categories: Up to so many categories a column, new ones are added in sorted order.
        """
        numbers = [
            replace(newer, indicator=older.indicator or newer.indicator)
            for older, newer in zip(self.numbers, new.numbers, strict=True)
        ]
        categories = [
            replace(older, values=tuple(sorted({*older.values, *_additions(older, newer, max_categories)})))
            for older, newer in zip(self.categories, new.categories, strict=True)
        ]
        formats = dict(sorted({**self.formats, **new.formats}.items()))
        return replace(self, numbers=tuple(numbers), categories=tuple(categories), formats=formats)

    def tree(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of it."""
        tree = asdict(self)
        return tree if self.formats else {name: value for name, value in tree.items() if name != "formats"}

    @classmethod
    def load(cls, path: Path) -> "Encoder":
        """Read an encoder back from its file."""
        return from_json(cls, path.read_bytes(), str(path))

    @classmethod
    def of_published(cls, path: Path, digest: str | None) -> "Encoder":
        """Read the encoder of a published checkpoint from the manifest beside it.

        Args:
            path: The checkpoint.
            digest: Its SHA-256, which the manifest has to name.

        Raises:
            DataError: There is no manifest, or it is that of another checkpoint.
        """
        manifest = require_manifest(path, digest or "")
        return cls.of_tree(read_manifest(manifest).get("scaler", {}), manifest)

    @classmethod
    def of_tree(cls, tree: dict[str, Any], path: Path) -> "Encoder":
        """Return the encoder that a checkpoint holds."""
        return from_json(cls, json.dumps(tree).encode(), str(path))


def _additions(older: CategoryCodes, newer: CategoryCodes, limit: int) -> list[str]:
    additions = [value for value in newer.values if value not in set(older.values)]
    return additions[: max(0, limit - len(older.values))]
