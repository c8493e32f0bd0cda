"""The kinds of a column: one table of which Arrow types are of which, and how their values become floats.

A new kind is one more entry of KINDS. What all others ask of a kind (contract, encoder, split, drift, MLflow) stands there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import AfterValidator

from unbroken.data.dictionary import is_text, value_type
from unbroken.errors import DataError

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
Floats = Float32 | Float64

Subject = Callable[[str, int], str]
"""Names, for a message, the value that a column has in a row of the batch at hand."""

INSTANT = pa.timestamp("us")
MICROSECONDS_A_YEAR = 31_556_952_000_000
FIRST_INSTANT, LAST_INSTANT = ((year - 1970) * MICROSECONDS_A_YEAR for year in (-32767, 32767))
"""Beyond which the calendar that months and days are taken from begins anew."""
PER_SECOND = {"s": 1e0, "ms": 1e3, "us": 1e6, "ns": 1e9}


@dataclass(frozen=True, kw_only=True)
class CalendarPart:
    """A part of an instant that becomes a column of its own: `of` takes it from timestamps, as first .. last."""

    name: str
    of: Callable[[pa.Array], pa.Array]
    first: int
    last: int

    def fractions(self, instants: pa.Array) -> Float32:
        """Return the part of each instant in 0 .. 1; 0 where there is none."""
        values = pc.fill_null(self.of(instants).cast(pa.float32()), float(self.first))
        return (values.to_numpy(zero_copy_only=False) - np.float32(self.first)) / np.float32(self.last - self.first)


@dataclass(frozen=True, kw_only=True)
class ColumnKind:
    """One kind of column.

    Attributes:
        name: What it is called in contracts, checkpoints and messages; once written, it stays.
        plural: What a message calls its values.
        types: Tells whether an Arrow type, dictionaries apart, is of this kind.
        floats: Turns a column into floats, NaN where a value is missing; none for a category, whose values become codes.
        plain: The Arrow type in which a service is given values of this kind.
        parts: The parts of the calendar that become columns of their own.
        instant: Whether values are moments in time, which move on from one delivery to the next.
        ordered: Whether rows can be ordered by it.
        label: Whether it can be predicted.
    """

    name: str
    plural: str
    types: Callable[[pa.DataType], bool]
    floats: Callable[[pa.Array, str, Subject], Floats] | None
    plain: pa.DataType
    parts: tuple[CalendarPart, ...] = ()
    instant: bool = False
    ordered: bool = True
    label: bool = True


def _is_number(type: pa.DataType) -> bool:
    return pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_decimal(type)


def _numbers(column: pa.Array, name: str, subject: Subject) -> Floats:
    if pa.types.is_decimal(column.type):
        _require_exact(column, name, subject)
    try:
        plain = (pa.types.is_float32(column.type) or pa.types.is_float64(column.type)) and not column.null_count
        values = column.to_numpy() if plain else column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid as error:
        _require_exact(column, name, subject)
        raise DataError(f"{subject(name, 0)} or below: {error}. Leave it out with data.exclude") from error
    with np.errstate(over="ignore", invalid="ignore"):
        suspect = not np.isfinite(values.sum())  # one pass, where a finite sum says that every value is finite
    if suspect and np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise DataError(
            f"{subject(name, row)}: found {values[row]}, expected a finite number. "
            f"Make it null, or leave the column out with data.exclude"
        )
    return values


def _require_exact(column: pa.Array, name: str, subject: Subject) -> None:
    bounds = pc.min_max(column).as_py()
    if bounds["min"] is None or (bounds["max"] <= 2**53 and bounds["min"] >= -(2**53)):
        return
    row = next(row for row, value in enumerate(column.to_pylist()) if value is not None and abs(value) > 2**53)
    raise DataError(
        f"{subject(name, row)}: found {column[row]}, expected at most 2^53, beyond which a float is not exact. "
        f"Divide it, name it in data.categories, or leave it out with data.exclude"
    )


def _seconds(column: pa.Array, name: str, subject: Subject) -> Float64:
    """Return instants as seconds since 1970, UTC."""
    try:
        instants = column.cast(options=pc.CastOptions(INSTANT, allow_time_truncate=True))
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{subject(name, 0)} or below: {error}. Mend it, or leave the column out with data.exclude"
        ) from error
    _require_calendar(instants.cast(pa.int64()), name, subject)
    return (
        instants.cast(pa.int64()).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        / PER_SECOND[INSTANT.unit]
    )


def _require_calendar(instants: pa.Array, name: str, subject: Subject) -> None:
    beyond = pc.or_(pc.less(instants, FIRST_INSTANT), pc.greater(instants, LAST_INSTANT))
    if not pc.any(beyond).as_py():
        return
    row = pc.index(beyond, True).as_py()
    year = 1970 + instants[row].as_py() // MICROSECONDS_A_YEAR
    raise DataError(
        f"{subject(name, row)}: found a moment of the year {year}, expected -32767 .. 32767. "
        f"Mend it, or leave the column out with data.exclude"
    )


def _elapsed_seconds(column: pa.Array, _name: str, _subject: Subject) -> Float64:
    """Return durations, or times since midnight, as seconds."""
    counts = column.cast(pa.int32() if pa.types.is_time32(column.type) else pa.int64())
    return counts.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) / PER_SECOND[column.type.unit]


CALENDAR = (
    CalendarPart(name="month", of=pc.month, first=1, last=12),
    CalendarPart(name="day", of=pc.day, first=1, last=31),
    CalendarPart(name="weekday", of=pc.day_of_week, first=0, last=6),
)
CLOCK = (
    CalendarPart(name="hour", of=pc.hour, first=0, last=23),
    CalendarPart(name="minute", of=pc.minute, first=0, last=59),
)

CATEGORY = "category"
KIND_OF_TYPE = {"text": CATEGORY}
"""What settings call a kind, where it is not the kind's own name."""

KINDS = {
    kind.name: kind
    for kind in (
        ColumnKind(name="number", plural="numbers", types=_is_number, floats=_numbers, plain=pa.float64()),
        ColumnKind(
            name="boolean",
            plural="booleans",
            types=pa.types.is_boolean,
            floats=_numbers,
            plain=pa.bool_(),
            ordered=False,
        ),
        ColumnKind(name=CATEGORY, plural="text", types=is_text, floats=None, plain=pa.string(), ordered=False),
        ColumnKind(
            name="timestamp",
            plural="timestamps",
            types=pa.types.is_timestamp,
            floats=_seconds,
            plain=INSTANT,
            parts=CALENDAR + CLOCK,
            instant=True,
            label=False,
        ),
        ColumnKind(
            name="date",
            plural="dates",
            types=pa.types.is_date,
            floats=_seconds,
            plain=pa.date32(),
            parts=CALENDAR,
            instant=True,
            label=False,
        ),
        ColumnKind(
            name="time",
            plural="times of day",
            types=pa.types.is_time,
            floats=_elapsed_seconds,
            plain=pa.time64("us"),
            label=False,
        ),
        ColumnKind(
            name="duration",
            plural="durations",
            types=pa.types.is_duration,
            floats=_elapsed_seconds,
            plain=pa.duration("us"),
            label=False,
        ),
    )
}


def _check_kind(name: str) -> str:
    if name not in KINDS:
        raise ValueError(f"found kind {name!r}, expected one of {', '.join(KINDS)}")
    return name


Kind = Annotated[str, AfterValidator(_check_kind)]
"""The name of a kind."""


def kind_of(type: pa.DataType) -> Kind | None:
    """Return the kind of a column of an Arrow type, or None if it cannot be used."""
    plain = value_type(type)
    return next((kind.name for kind in KINDS.values() if kind.types(plain)), None)


def plurals(kinds: list[ColumnKind]) -> str:
    """Return how a message lists some kinds."""
    *names, last = [kind.plural for kind in kinds]
    return f"{', '.join(names)} or {last}" if names else last


def can_be_coded(type: pa.DataType) -> bool:
    """Tell whether values of an Arrow type can be names, each with a code of its own; of floats, the whole ones."""
    plain = value_type(type)
    return pa.types.is_integer(plain) or pa.types.is_floating(plain) or kind_of(plain) in (CATEGORY, "boolean")


def as_floats(column: pa.Array, name: str, kind: Kind, subject: Subject) -> Float64:
    """Return the values of a column as float64 with NaN for missing; times in seconds.

    Args:
        column: The values, dictionaries decoded.
        name: The column's name, for messages.
        kind: Its kind; no category.
        subject: Names a row in a message.

    Raises:
        DataError: A value is infinite or does not fit 64 bits; names the row of the first.
    """
    return as_stored_floats(column, name, kind, subject).astype(np.float64, copy=False)


def as_stored_floats(column: pa.Array, name: str, kind: Kind, subject: Subject) -> Floats:
    """Return what `as_floats` does, but float32 values, which are as exact, as they are."""
    floats = KINDS[kind].floats
    assert floats is not None  # a category has codes
    return floats(column, name, subject)


def as_texts(column: pa.Array, name: str, subject: Subject) -> pa.Array:
    """Return a category column as plain strings, whole floats as integers; raise DataError on a float that is not whole."""
    if not pa.types.is_floating(column.type):
        return column.cast(pa.string())
    floats = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    try:
        return floats.cast(pa.int64()).cast(pa.string())
    except pa.ArrowInvalid as error:
        row = next(row for row, value in enumerate(floats.to_pylist()) if value is not None and value % 1 != 0)
        raise DataError(
            f"{subject(name, row)}: found {column[row]}, expected a whole number or text for data.categories"
        ) from error


def as_labels(column: pa.Array, name: str, subject: Subject) -> pa.Array:
    """Return a label column as integers, float64, booleans or texts; raise DataError on an integer beyond 64 bits."""
    if pa.types.is_decimal(column.type) or pa.types.is_floating(column.type):
        return column.cast(pa.float64())
    if not pa.types.is_uint64(column.type):
        return column
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        row = next(row for row, value in enumerate(column.to_pylist()) if value is not None and value >= 2**63)
        raise DataError(f"{subject(name, row)}: found {column[row]}, expected a label below 2^63") from error
