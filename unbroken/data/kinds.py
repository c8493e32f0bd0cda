"""The kinds of a column: which Arrow types are of which, and their values as floats, texts or labels."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from unbroken.errors import DataError

Kind = Literal["number", "boolean", "category", "timestamp", "date"]


def kind_of(type: pa.DataType) -> Kind | None:
    """Return how a column of an Arrow type is treated, or None if it cannot be used."""
    if pa.types.is_dictionary(type):
        return kind_of(type.value_type)
    if pa.types.is_boolean(type):
        return "boolean"
    if pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_decimal(type):
        return "number"
    if pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type):
        return "category"
    if pa.types.is_timestamp(type):
        return "timestamp"
    return "date" if pa.types.is_date(type) else None


Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
Floats = Float32 | Float64

Subject = Callable[[str, int], str]
"""Names, for a message, the value that a column has in a row of the batch at hand."""

TIMES = ("timestamp", "date")
INSTANT = pa.timestamp("us")
MICROSECONDS = 1e6


def as_floats(column: pa.Array, name: str, kind: Kind, subject: Subject) -> Float64:
    """Return a number, boolean or time as float64 (times in seconds) with NaN for missing.

    Raise DataError naming the row of the first value that is infinite or does not fit 64 bits.
    """
    return as_stored_floats(column, name, kind, subject).astype(np.float64, copy=False)


def as_stored_floats(column: pa.Array, name: str, kind: Kind, subject: Subject) -> Floats:
    """Return what `as_floats` does, but float32 values, which are as exact, as they are."""
    if kind in TIMES:
        return _as_seconds(column, name, subject)
    try:
        plain = (pa.types.is_float32(column.type) or pa.types.is_float64(column.type)) and not column.null_count
        values = column.to_numpy() if plain else column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid as error:
        place = next(row for row, value in enumerate(column.to_pylist()) if value is not None and abs(value) > 2**53)
        raise DataError(
            f"{subject(name, place)}: found {column[place]}, expected at most 2^53, beyond which a float is not exact. "
            f"Divide it, name it in data.categories, or leave it out with data.exclude"
        ) from error
    with np.errstate(over="ignore", invalid="ignore"):
        doubtful = not np.isfinite(values.sum())  # one pass, where a finite sum says that every value is finite
    if doubtful and np.isinf(values).any():
        place = int(np.flatnonzero(np.isinf(values))[0])
        raise DataError(
            f"{subject(name, place)}: found {values[place]}, expected a finite number. "
            f"Make it null, or leave the column out with data.exclude"
        )
    return values


def as_texts(column: pa.Array) -> pa.Array:
    """Return a category column as plain strings."""
    return column.cast(pa.string())


def as_labels(column: pa.Array, name: str, subject: Subject) -> pa.Array:
    """Return a label column as integers, float64, booleans or texts; raise DataError on an integer beyond 64 bits."""
    if pa.types.is_decimal(column.type) or pa.types.is_floating(column.type):
        return column.cast(pa.float64())
    if not pa.types.is_uint64(column.type):
        return column
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        place = next(row for row, value in enumerate(column.to_pylist()) if value is not None and value >= 2**63)
        raise DataError(f"{subject(name, place)}: found {column[place]}, expected a label below 2^63") from error


def _as_seconds(column: pa.Array, name: str, subject: Subject) -> Float64:
    try:
        instants = column.cast(options=pc.CastOptions(INSTANT, allow_time_truncate=True))
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{subject(name, 0)} or below: {error}. Mend it, or leave the column out with data.exclude"
        ) from error
    return instants.cast(pa.int64()).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) / MICROSECONDS
