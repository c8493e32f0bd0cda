"""Tell new rows from those that a model was retrained on: files by their content, or rows by a time column."""

from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from unbroken.data.dataset import Slice
from unbroken.data.parquet import read_slices
from unbroken.data.sources import SourceFile
from unbroken.errors import DataError
from unbroken.serving.registry import Watermark

INSTANT = pa.timestamp("us")


def content_names(files: list[SourceFile], digests: list[str]) -> list[str]:
    """Return what names each file in a watermark: the digest of its content with its partition values, but not its path."""
    return [
        digest + "".join(f" {name}={value}" for name, value in sorted(file.partition.items()))
        for file, digest in zip(files, digests, strict=True)
    ]


def add_files(watermark: Watermark, names: list[str]) -> Watermark:
    """Return the watermark once the named files have been seen too."""
    return Watermark(files=tuple(sorted({*watermark.files, *names})), until=watermark.until)


def latest_time(files: list[SourceFile], column: str) -> str | None:
    """Return the latest time in a column (UTC, ISO 8601), None without rows; raise DataError where a row has no time."""
    latest: datetime | None = None
    for part in read_slices(files, [column]):
        time = pc.max(instants(part, column)).as_py()
        latest = time if latest is None or time > latest else latest
    return latest.isoformat() if latest else None


def read_by_watermark(
    files: list[SourceFile], columns: list[str], time_column: str, watermark: Watermark, *, new: bool
) -> Iterator[Slice]:
    """Yield the rows later than the watermark if `new`, else those up to it, as just these columns."""
    names = [*columns, *([] if time_column in columns else [time_column])]
    for part in read_slices(files, names):
        mask = later_than(watermark, part, time_column)
        rows = part.rows.filter(mask if new else pc.invert(mask))
        if rows.num_rows:
            yield Slice(part.file, part.start, rows.select(columns))


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
