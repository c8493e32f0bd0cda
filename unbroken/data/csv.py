"""CSV files as Parquet, converted once."""

from collections.abc import Iterable
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.csv

from unbroken.data.parquet import Writer
from unbroken.data.sources import SourceFile, data_errors
from unbroken.errors import DataError

CSV_BLOCK_BYTES = 1 << 26


def convert_csv(file: SourceFile, path: Path, texts: Iterable[str] = ()) -> None:
    """Copy a CSV file to Parquet, its column types inferred from its first 64 MiB but for those named as text.

    Empty fields and the usual words for them (NA, NaN, null) are null.

    Args:
        file: The CSV file, compressed or not.
        path: The Parquet file to write.
        texts: Columns that stay text whatever their values look like.

    Raises:
        DataError: The file cannot be parsed, or its text is not UTF-8.
    """
    read_options = pyarrow.csv.ReadOptions(block_size=CSV_BLOCK_BYTES)
    parse_options = pyarrow.csv.ParseOptions(newlines_in_values=True)
    convert_options = pyarrow.csv.ConvertOptions(
        strings_can_be_null=True, column_types=dict.fromkeys(texts, pa.string())
    )
    with data_errors(file.url), fsspec.open(file.url, "rb", compression="infer") as stream:
        reader = pyarrow.csv.open_csv(stream, read_options, parse_options, convert_options)
        types = [(field.name, field.type) for field in reader.schema]  # a name that is not UTF-8 raises here
        if binary := [name for name, type in types if pa.types.is_binary(type)]:
            raise DataError(f"{file.url}: column {binary[0]}: found text that is not UTF-8; save the file as UTF-8")
        with Writer(path, reader.schema) as writer:
            for batch in reader:
                writer.write(batch)


def as_parquet(file: SourceFile, path: Path, texts: Iterable[str] = ()) -> SourceFile:
    """Return a file as it is if it is Parquet, else its copy at the path; the columns `texts` of a CSV stay text."""
    if file.format == "parquet":
        return file
    convert_csv(file, path, texts)
    return SourceFile(url=str(path), partition=file.partition, origin=file.url)
