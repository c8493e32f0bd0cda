"""Read and write rows as Arrow batches, in a fixed order and in bounded memory."""

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import fsspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from unbroken import atomic
from unbroken.artifact import Dataset, verify
from unbroken.errors import DataError
from unbroken.schema import Schema
from unbroken.source import SourceFile, local_path, naming

BATCH_ROWS = 1 << 16
CSV_BLOCK_BYTES = 1 << 26
ROW_GROUP_ROWS = 1 << 18


@dataclass(frozen=True, kw_only=True)
class TableFile:
    """One Parquet file of a dataset; `partition` holds the columns that stand in its path, `origin` the CSV file it was."""

    url: str
    rows: int
    partition: dict[str, int | str | None] = field(default_factory=dict)
    origin: str | None = None

    @property
    def name(self) -> str:
        """The file as the user knows it."""
        return self.origin or self.url


@dataclass(frozen=True, slots=True)
class Slice:
    """Some rows of one file: `start` is the place of the first of them in the file, from 0."""

    file: TableFile
    start: int
    rows: pa.RecordBatch

    def column(self, name: str) -> pa.Array:
        """Return a column of the rows."""
        return self.rows.column(name)

    def subject(self, name: str, place: int) -> str:
        """Return how a message names the value of a column in one of these rows."""
        return f"{self.file.name}: column {name}, row {self.start + place}"

    def __len__(self) -> int:
        return self.rows.num_rows


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
def open_parquet(url: str) -> Generator[pq.ParquetFile]:
    """Open a Parquet file, verifying the checksums of its pages where it has them."""
    path = local_path(SourceFile(url=url, format="parquet"))
    with naming(url):
        if path is not None:
            # Not by memory map: a file cut short meanwhile would then end the process, and its pages count as memory.
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                yield file
        else:
            with fsspec.open(url, "rb") as stream, pq.ParquetFile(stream, page_checksum_verification=True) as file:
                yield file


def read(files: Iterable[TableFile], columns: list[str]) -> Iterator[Slice]:
    """Yield the rows of Parquet files in order, at most BATCH_ROWS at a time, as just these columns in this order.

    Dictionaries come as their values. Raise DataError naming the file, and the row group if it is one that cannot be read.
    """
    for file in files:
        stored = [name for name in columns if name not in file.partition]
        start = 0
        with open_parquet(file.url) as parquet:
            if missing := [name for name in stored if name not in parquet.schema_arrow.names]:
                raise DataError(
                    f"{file.url}: no column {', '.join(missing)}; found {', '.join(parquet.schema_arrow.names)}"
                )
            for group in range(parquet.num_row_groups):
                with naming(f"{file.url}: row group {group}"):
                    for batch in parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=stored):
                        yield Slice(file, start, _with_partition(batch, file, columns))
                        start += batch.num_rows


def read_schema(dataset: Dataset) -> pa.Schema:
    """Return the columns of a dataset that is one Parquet file."""
    with naming(dataset.path):
        return pq.read_schema(dataset.path)


def read_dataset(dataset: Dataset, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a dataset that is one Parquet file.

    Raise DataError, after the last row at the latest, if it is not the file that was written.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="verify") as pool:
        verified = pool.submit(verify, dataset)
        try:
            names = columns or read_schema(dataset).names
            for part in read([TableFile(url=dataset.path, rows=dataset.rows)], names):
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


def convert_csv(file: SourceFile, path: Path, texts: Iterable[str] = ()) -> None:
    """Copy a CSV file to Parquet, its column types inferred from its first 64 MiB but for those named as text.

    Empty fields and the usual words for them (NA, NaN, null) are null. Raise DataError for text that is not UTF-8.
    """
    read_options = pyarrow.csv.ReadOptions(block_size=CSV_BLOCK_BYTES)
    parse_options = pyarrow.csv.ParseOptions(newlines_in_values=True)
    convert_options = pyarrow.csv.ConvertOptions(
        strings_can_be_null=True, column_types=dict.fromkeys(texts, pa.string())
    )
    with naming(file.url), fsspec.open(file.url, "rb", compression="infer") as stream:
        reader = pyarrow.csv.open_csv(stream, read_options, parse_options, convert_options)
        types = [(field.name, field.type) for field in reader.schema]  # a name that is not UTF-8 raises here
        if foreign := [name for name, type in types if pa.types.is_binary(type)]:
            raise DataError(f"{file.url}: column {foreign[0]}: found text that is not UTF-8; save the file as UTF-8")
        with Writer(path, reader.schema) as writer:
            for batch in reader:
                writer.write(batch)


def _with_partition(batch: pa.RecordBatch, file: TableFile, columns: list[str]) -> pa.RecordBatch:
    arrays = [
        _repeat(file.partition[name], batch.num_rows) if name in file.partition else _plain(batch.column(name))
        for name in columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=columns)


def _repeat(value: int | str | None, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string() if isinstance(value, str) else pa.int64()), rows)


def _plain(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
