"""The raw columns as tensors: the type of each, and what stands for a missing value there."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from unbroken.data.kinds import INSTANT, KINDS, Subject, as_floats, as_texts
from unbroken.errors import ExportError
from unbroken.features.encoder import FIRST_CODE, MISSING, CategoryCodes, Encoder, NumberScale

Arrays = dict[str, NDArray[Any]]

DOUBLE, INTEGER, TEXT = "float64", "int64", "string"
NO_COUNT = -(2**63)
"""A missing count of microseconds: what NumPy's NaT is as an integer."""
COUNTED = ("timestamp", "date", "time", "duration")
UNITS = {"timestamp": "microseconds since 1970, UTC", "date": "microseconds since 1970, UTC", "boolean": "0 or 1"}
UNITS |= {"time": "microseconds since midnight", "duration": "microseconds"}


@dataclass(frozen=True, kw_only=True)
class RawColumn:
    """What an exported model is given of one column.

    Attributes:
        name: The column's name, which is that of the input.
        kind: Its kind in training.
        type: The type of its tensor: float64, int64 or string, one value a row.
        unit: What its numbers count, where that is not plain.
        missing: What stands for a missing value.
        codes: The code of each value, where values enter as codes; 0 is any other.
    """

    name: str
    kind: str
    type: str
    unit: str = ""
    missing: str | int = "NaN"
    codes: dict[str, int] | None = None


def raw_columns(encoder: Encoder, *, coded: bool) -> tuple[RawColumn, ...]:
    """Return what a model is given, in the order of its training.

    Args:
        encoder: What was fitted in training.
        coded: Whether categories enter as codes, since strings cannot be tensors.

    Raises:
        ExportError: A column is of a kind that has no tensor.
    """
    scales = {scale.name: scale for scale in (*encoder.numbers, *encoder.categories)}
    return tuple(_raw_column(scales[column.name], coded=coded) for column in encoder.schema.features)


def as_arrays(rows: pa.RecordBatch, encoder: Encoder, subject: Subject, *, coded: bool) -> Arrays:
    """Return raw rows, their columns of the kinds of training, as the inputs of an exported model."""
    scales = {scale.name: scale for scale in (*encoder.numbers, *encoder.categories)}
    return {
        column.name: _array(rows.column(column.name), scales[column.name], column, subject)
        for column in raw_columns(encoder, coded=coded)
    }


def missing_text(values: tuple[str, ...]) -> str:
    """Return the text that stands for a missing value: an empty one, or one of underscores where that is a value."""
    text = ""
    while text in values:
        text += "_"
    return text


def _raw_column(scale: NumberScale | CategoryCodes, *, coded: bool) -> RawColumn:
    if isinstance(scale, CategoryCodes):
        return _category(scale, coded=coded)
    unit = UNITS.get(scale.kind, "")
    if scale.kind in COUNTED:
        return RawColumn(name=scale.name, kind=scale.kind, type=INTEGER, unit=unit, missing=NO_COUNT)
    if scale.kind not in ("number", "boolean"):
        raise ExportError(f"column {scale.name}: found a {scale.kind}, of which no other format knows. Leave it out")
    return RawColumn(name=scale.name, kind=scale.kind, type=DOUBLE, unit=unit)


def _category(scale: CategoryCodes, *, coded: bool) -> RawColumn:
    if not coded:
        return RawColumn(name=scale.name, kind="category", type=TEXT, missing=missing_text(scale.values))
    codes = {value: code for code, value in enumerate(scale.values, start=FIRST_CODE)}
    return RawColumn(name=scale.name, kind="category", type=INTEGER, missing=MISSING, codes=codes)


def _array(values: pa.Array, scale: NumberScale | CategoryCodes, column: RawColumn, subject: Subject) -> NDArray[Any]:
    if isinstance(scale, CategoryCodes) and column.type == TEXT:
        texts = as_texts(values, scale.name, subject)
        return np.array(pc.fill_null(texts, column.missing).to_pylist(), dtype=object)
    if isinstance(scale, CategoryCodes):
        return scale.transform(values, subject).cast(pa.int64()).to_numpy()
    if column.type == INTEGER:
        return _counts(values, scale.kind).fill_null(NO_COUNT).to_numpy()
    return as_floats(values, scale.name, scale.kind, subject)


def _counts(values: pa.Array, kind: str) -> pa.Array:
    """Return times as whole microseconds."""
    plain = INSTANT if KINDS[kind].instant else KINDS[kind].plain
    return values.cast(options=pc.CastOptions(plain, allow_time_truncate=True)).cast(pa.int64())
