"""Tell new rows from those that a model was retrained on: files by their content, or rows by a time column."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from unbroken.data.dataset import Slice
from unbroken.data.parquet import read_slices
from unbroken.data.sources import SourceFile
from unbroken.errors import DataError
from unbroken.serving.registry import Watermark

log = logging.getLogger(__name__)

INSTANT = pa.timestamp("us")


@dataclass(frozen=True, kw_only=True)
class Times:
    """The times of some rows (UTC, ISO 8601): the latest that is plausible, and those beyond.

    Attributes:
        latest: The latest up to the limit, None without such a row.
        ahead: How many rows are later than the limit.
        latest_ahead: The latest of those.
    """

    latest: str | None
    ahead: int = 0
    latest_ahead: str | None = None


def content_names(files: list[SourceFile], digests: list[str]) -> list[str]:
    """Return what names each file in a watermark: the digest of its content with its partition values, but not its path."""
    return [
        digest + "".join(f" {name}={value}" for name, value in sorted(file.partition.items()))
        for file, digest in zip(files, digests, strict=True)
    ]


def add_files(watermark: Watermark, names: list[str]) -> Watermark:
    """Return the watermark once the named files have been seen too."""
    return Watermark(files=tuple(sorted({*watermark.files, *names})), until=watermark.until)


def plausible(watermark: Watermark, limit: datetime, subject: str) -> Watermark:
    """Return a watermark without its time, and say so, if that is later than a limit: a row with a mistaken date set it."""
    if watermark.until is None or datetime.fromisoformat(watermark.until) <= limit:
        return watermark
    log.warning(
        "%s: the watermark %s lies in the future: the rows of files that were not seen count as new",
        *(subject, watermark.until),
    )
    return replace(watermark, until=None)


def survey(files: list[SourceFile], column: str, limit: datetime) -> Times:
    """Return how far the times in a column reach, up to a limit and beyond; raise DataError where a row has no time."""
    latest: list[datetime] = []
    ahead, furthest = 0, []
    for part in read_slices(files, [column]):
        times = instants(part, column)
        beyond = pc.greater(times, pa.scalar(limit, INSTANT))
        ahead += pc.sum(beyond).as_py() or 0
        latest += [time for time in (pc.max(times.filter(pc.invert(beyond))).as_py(),) if time]
        furthest += [time for time in (pc.max(times.filter(beyond)).as_py(),) if time]
    return Times(
        latest=max(latest).isoformat() if latest else None,
        ahead=ahead,
        latest_ahead=max(furthest).isoformat() if furthest else None,
    )


def read_by_watermark(
    files: list[SourceFile],
    columns: list[str],
    time_column: str | None,
    watermark: Watermark,
    *,
    new: bool,
    until: str | None = None,
    seen: NDArray[np.bool_] | None = None,
) -> Iterator[Slice]:
    """Yield the new rows of files, or the others, as just some columns.

    Args:
        files: The files.
        columns: The columns to yield.
        time_column: Rows whose time there is later than the watermark are new; all are where none is given.
        watermark: How far retraining has come.
        new: Whether to yield the new rows.
        until: Rows later than that are passed over.
        seen: Which of the rows, in the order of the files, are known by their values and so not new.
    """
    names = [*columns, *(name for name in (time_column,) if name and name not in columns)]
    start = 0
    for part in read_slices(files, names):
        mask = _is_new(part, time_column, watermark)
        if seen is not None:
            mask = pc.and_(mask, pa.array(~seen[start : start + len(part)]))
        start += len(part)
        if new and time_column and until is not None:
            mask = pc.and_(mask, pc.invert(later_than(Watermark(until=until), part, time_column)))
        rows = part.rows.filter(mask if new else pc.invert(mask))
        if rows.num_rows:
            yield Slice(part.file, part.start, rows.select(columns))


def _is_new(part: Slice, time_column: str | None, watermark: Watermark) -> pa.BooleanArray:
    return later_than(watermark, part, time_column) if time_column else pa.repeat(True, len(part))


def later_than(watermark: Watermark, part: Slice, column: str) -> pa.BooleanArray:
    """Return for each row whether its time is later than the watermark."""
    times = instants(part, column)
    if watermark.until is None:
        return pa.array([True] * len(part))
    return pc.greater(times, pa.scalar(datetime.fromisoformat(watermark.until), INSTANT))


def instants(part: Slice, column: str) -> pa.Array:
    """Return a timestamp or date column as timestamps in UTC; raise DataError naming the row without one."""
    values = part.column(column)
    if not (pa.types.is_timestamp(values.type) or pa.types.is_date(values.type)):
        raise DataError(
            f"{part.subject(column, 0)}: found type {values.type}, expected timestamps or dates to tell what is new"
        )
    if values.null_count:
        row = pc.index(pc.is_null(values), True).as_py()
        raise DataError(f"{part.subject(column, row)}: found no time, expected one in every row to tell what is new")
    return values.cast(INSTANT, safe=False)
