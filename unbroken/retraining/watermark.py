"""What a model has already been retrained on, and so what is new: files by their content, or rows by a time column."""

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


def identify(files: list[SourceFile], digests: list[str]) -> list[str]:
    """Return what names each file: the digest of its content, with its partition values, but not its path."""
    return [
        digest + "".join(f" {name}={value}" for name, value in sorted(file.partition.items()))
        for file, digest in zip(files, digests, strict=True)
    ]


def after_files(mark: Watermark, names: list[str]) -> Watermark:
    """Return the watermark once the named files have been seen too."""
    return Watermark(files=tuple(sorted({*mark.files, *names})), until=mark.until)


def newest(files: list[SourceFile], column: str) -> str | None:
    """Return the latest time in a column, None without rows; raise DataError where a row has no time."""
    latest: datetime | None = None
    for part in read_slices(files, [column]):
        times = instants(part, column)
        found = pc.max(times).as_py()
        latest = found if latest is None or found > latest else latest
    return latest.isoformat() if latest else None


def are_new(part: Slice, column: str, mark: Watermark) -> pa.BooleanArray:
    """Tell for each row whether its time is later than the watermark."""
    times = instants(part, column)
    if mark.until is None:
        return pa.array([True] * len(part))
    return pc.greater(times, pa.scalar(datetime.fromisoformat(mark.until), INSTANT))


def instants(part: Slice, column: str) -> pa.Array:
    """Return a timestamp or date column as timestamps in UTC; raise DataError naming the row without one."""
    values = part.column(column)
    if not (pa.types.is_timestamp(values.type) or pa.types.is_date(values.type)):
        raise DataError(
            f"{part.subject(column, 0)}: found type {values.type}, expected timestamps or dates to tell what is new"
        )
    if values.null_count:
        place = pc.index(pc.is_null(values), True).as_py()
        raise DataError(f"{part.subject(column, place)}: found no time, expected one in every row to tell what is new")
    return values.cast(INSTANT, safe=False)


def split_rows(
    files: list[SourceFile], columns: list[str], column: str, mark: Watermark, *, new: bool
) -> Iterator[Slice]:
    """Yield the rows after the watermark, or those up to it, by a time column."""
    names = [*columns, *([] if column in columns else [column])]
    for part in read_slices(files, names):
        wanted = are_new(part, column, mark)
        rows = part.rows.filter(wanted if new else pc.invert(wanted))
        if rows.num_rows:
            yield Slice(part.file, part.start, rows.select(columns))
