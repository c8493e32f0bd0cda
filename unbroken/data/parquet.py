"""Read and write rows as Arrow batches, in a fixed order and in bounded memory."""

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from unbroken.data.dataset import Dataset, Slice
from unbroken.data.dictionary import decode_column
from unbroken.data.sources import SourceFile, data_errors, local_path
from unbroken.errors import DataError
from unbroken.storage import atomic
from unbroken.storage.artifact import verify

BATCH_ROWS = 1 << 16
ROW_GROUP_ROWS = 1 << 18
READING = {"page_checksum_verification": True, "coerce_int96_timestamp_unit": "us"}
"""Old timestamps of 96 bits reach further than nanoseconds in 64 bits do."""


@contextmanager
def open_parquet(url: str) -> Generator[pq.ParquetFile]:
    """Open a Parquet file, verifying the checksums of its pages where it has them."""
    path = local_path(url)
    with data_errors(url):
        if path is not None:
            # Not by memory map: a file cut short meanwhile would then end the process, and its pages count as memory.
            with pq.ParquetFile(path, **READING) as file:
                yield file
        else:
            with fsspec.open(url, "rb") as stream, pq.ParquetFile(stream, **READING) as file:
                yield file


def read_slices(files: Iterable[SourceFile], columns: list[str]) -> Iterator[Slice]:
    """Yield the rows of Parquet files in order, at most BATCH_ROWS at a time, as just these columns in this order.

    Dictionaries come as their values.

    Args:
        files: Parquet files, their partition columns typed.
        columns: Names of columns, of the files or their partitions.

    Raises:
        DataError: A column is missing or a row group cannot be read; names the file.
    """
    for file in files:
        needed = dict.fromkeys([*columns, *([file.labelled_by] if file.labelled_by else [])])
        stored = [name for name in needed if name not in file.partition]
        start = 0
        with open_parquet(file.url) as parquet:
            names = dict.fromkeys(parquet.schema_arrow.names)
            if missing := [name for name in stored if name not in names]:
                raise DataError(f"{file.url}: no column {', '.join(missing)}; found {', '.join(names)}")
            for group in range(parquet.num_row_groups):
                with data_errors(f"{file.url}: row group {group}"):
                    for batch in parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=stored):
                        part = Slice(file, start, _with_partition(batch, file, list(needed)))
                        start += batch.num_rows
                        if labelled := _labelled(part, columns):
                            yield labelled


def read_schema(dataset: Dataset) -> pa.Schema:
    """Return the columns of a dataset that is one Parquet file."""
    with data_errors(dataset.path):
        return pq.read_schema(dataset.path)


def read_dataset(dataset: Dataset, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a dataset that is one Parquet file.

    Raise DataError, after the last row at the latest, if it is not the file that was written.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="verify") as pool:
        verified = pool.submit(verify, dataset)
        try:
            names = columns or read_schema(dataset).names
            for part in read_slices([dataset.file], names):
                yield part.rows
        finally:
            verified.result()  # before any error of reading, which it explains


class Writer:
    """A Parquet file under construction; it takes its final name, durably, only when complete.

    LZ4 is written and read in half of zstd's time. Whole numbers, as labels and codes are, have few bits: delta encoding
    packs them in a third of a dictionary's time. Nobody searches float32 numbers, the model's inputs, by their least and
    largest, so these are left out.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.rows = 0
        self._schema = schema

    def __enter__(self) -> "Writer":
        with ExitStack() as opened:
            self._file = opened.enter_context(atomic.replacing(self.path, kind=atomic.BLAKE3))
            self._parquet = opened.enter_context(
                pq.ParquetWriter(
                    self._file,
                    self._schema,
                    compression="lz4",
                    use_dictionary=False,
                    column_encoding={
                        field.name: "DELTA_BINARY_PACKED" for field in self._schema if pa.types.is_integer(field.type)
                    },
                    write_statistics=[field.name for field in self._schema if field.type != pa.float32()],
                    write_page_checksum=True,
                )
            )
            self._opened = opened.pop_all()
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows; they become a row group when enough have come."""
        if batch.num_rows:
            if not batch.schema.equals(self._schema):
                batch = batch.cast(self._schema)
            self._parquet.write_batch(batch, row_group_size=ROW_GROUP_ROWS)
            self.rows += batch.num_rows

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    def dataset(self) -> Dataset:
        """Describe the finished file."""
        digest = self._file.digest
        return Dataset(path=str(self.path), digest=digest, rows=self.rows, columns=len(self._schema) - 1)


def _with_partition(batch: pa.RecordBatch, file: SourceFile, columns: list[str]) -> pa.RecordBatch:
    arrays = [
        _repeat(file, name, batch.num_rows) if name in file.partition else decode_column(batch.column(name))
        for name in columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=columns)


def _labelled(part: Slice, columns: list[str]) -> Slice | None:
    """Return the rows that have a label, where others are passed over; None if there are none."""
    name = part.file.labelled_by
    if name is None:
        return part
    labelled = pc.invert(pc.is_null(part.column(name), nan_is_null=True))
    rows = part.rows.select(columns).filter(labelled)
    return Slice(part.file, part.start, rows, pc.indices_nonzero(labelled)) if rows.num_rows else None


def _repeat(file: SourceFile, name: str, rows: int) -> pa.Array:
    value, is_date = file.partition[name], name in file.partition_dates
    if value is None:
        return pa.nulls(rows, pa.date32() if is_date else pa.null())
    column = pa.repeat(pa.scalar(value, pa.string() if isinstance(value, str) else pa.int64()), rows)
    return column.cast(pa.date32()) if is_date else column
