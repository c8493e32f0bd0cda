"""Read and write rows as Arrow batches, in a fixed order and in bounded memory."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import fsspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from unbroken import atomic
from unbroken.artifact import Dataset
from unbroken.errors import DataError
from unbroken.schema import Schema
from unbroken.source import SourceFile, local_path

BATCH_ROWS = 1 << 16
CSV_BLOCK_BYTES = 1 << 26
ROW_GROUP_ROWS = 1 << 18


@dataclass(frozen=True, kw_only=True)
class TableFile:
    """One Parquet file of a dataset; `partition` holds the columns that stand in its path."""

    url: str
    rows: int
    partition: dict[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of a loaded dataset: its files in order, its fingerprint and its column contract."""

    fingerprint: str
    files: tuple[TableFile, ...]
    schema: Schema

    @property
    def rows(self) -> int:
        """The number of rows in all files."""
        return sum(file.rows for file in self.files)


@contextmanager
def naming(path: str) -> Generator[None]:
    """Turn Arrow's and the file system's complaints about a file into a DataError that names it."""
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    except OSError as error:
        # Arrow reports a bad file as an OSError without a number; those with one may pass and are retried.
        if error.errno is not None:
            raise
        raise DataError(f"{path}: cannot be read: {error}") from error


@contextmanager
def open_parquet(url: str) -> Generator[pq.ParquetFile]:
    """Open a Parquet file, verifying the checksums of its pages where it has them."""
    path = local_path(SourceFile(url=url, format="parquet"))
    with naming(url):
        if path is not None:
            with pq.ParquetFile(path, memory_map=True, page_checksum_verification=True) as file:
                yield file
        else:
            with fsspec.open(url, "rb") as stream, pq.ParquetFile(stream, page_checksum_verification=True) as file:
                yield file


def read(files: Iterable[TableFile], columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of Parquet files in order, at most BATCH_ROWS at a time, as just these columns in this order."""
    for file in files:
        stored = [name for name in columns if name not in file.partition]
        with open_parquet(file.url) as parquet:
            for group in range(parquet.num_row_groups):
                with naming(f"{file.url}: row group {group}"):
                    for batch in parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=stored):
                        yield _with_partition(batch, file, columns)


def read_dataset(dataset: Dataset, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a dataset that is one Parquet file."""
    names = columns if columns is not None else pq.read_schema(dataset.path).names
    return read([TableFile(url=dataset.path, rows=dataset.rows)], names)


class Writer:
    """A Parquet file under construction; it takes its final name, durably, only when complete."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.rows = 0
        self._replacing = atomic.replacing(path)
        self._schema = schema

    def __enter__(self) -> "Writer":
        self._file = self._replacing.__enter__()
        self._parquet = pq.ParquetWriter(
            self._file, self._schema, compression="zstd", use_dictionary=False, write_page_checksum=True
        )
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows; they become a row group when enough have come."""
        if batch.num_rows:
            self._parquet.write_batch(batch, row_group_size=ROW_GROUP_ROWS)
            self.rows += batch.num_rows

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parquet.close()
        self._replacing.__exit__(kind, error, trace)

    def dataset(self) -> Dataset:
        """Describe the finished file."""
        return Dataset(
            path=str(self.path), digest=atomic.digest(self.path), rows=self.rows, columns=len(self._schema) - 1
        )


def convert_csv(file: SourceFile, path: Path) -> None:
    """Copy a CSV file to Parquet, its column types inferred from its first 64 MiB; empty fields are null."""
    read_options = pyarrow.csv.ReadOptions(block_size=CSV_BLOCK_BYTES)
    convert_options = pyarrow.csv.ConvertOptions(strings_can_be_null=True)
    with naming(file.url), fsspec.open(file.url, "rb", compression="infer") as stream:
        reader = pyarrow.csv.open_csv(stream, read_options=read_options, convert_options=convert_options)
        with Writer(path, reader.schema) as writer:
            for batch in reader:
                writer.write(batch)


def _with_partition(batch: pa.RecordBatch, file: TableFile, columns: list[str]) -> pa.RecordBatch:
    arrays = [
        pa.array([file.partition[name]] * batch.num_rows) if name in file.partition else batch.column(name)
        for name in columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=columns)
