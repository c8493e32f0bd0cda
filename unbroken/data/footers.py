"""What is known of Parquet files without reading their rows."""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date

import pyarrow as pa

from unbroken.data.kinds import CATEGORY, Kind
from unbroken.data.parquet import open_parquet
from unbroken.data.sources import SourceFile
from unbroken.errors import DataError
from unbroken.storage.artifact import from_json, to_json

log = logging.getLogger(__name__)

INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
"""A partition value that is a number: its folder's name has no type. With a leading zero it is a code."""
CODE = re.compile(r"-?[0-9]{1,18}")
FORMATS = b"unbroken.csv_formats"
"""Under this key our own Parquet files keep how the columns of the CSV files were written that their rows come from."""


@dataclass(frozen=True, kw_only=True)
class Footer:
    """What is known of a file without reading its rows.

    Attributes:
        file: The file.
        rows: The number of its rows.
        schema: Its columns, those of its path first; the metadata is the file's.
    """

    file: SourceFile
    rows: int
    schema: pa.Schema


def require_width(path: str, columns: int, most: int) -> None:
    """Raise DataError if a table has more columns than the settings allow."""
    if columns > most:
        raise DataError(
            f"{path}: found {columns:,} columns, expected at most {most:,}. "
            f"Raise data.max_columns, or write only the columns that are needed"
        )


def read_footers(files: list[SourceFile], kinds: Mapping[str, Kind] | None = None) -> list[Footer]:
    """Read the footers of Parquet files, those without rows left out.

    Args:
        files: The files.
        kinds: What is known of columns; those in the path of a file, where all is text, are read by it.
    """
    footers = [_footer(file) for file in files]
    return _with_partition_fields([footer for footer in footers if footer.rows], kinds or {})


def _footer(file: SourceFile) -> Footer:
    with open_parquet(file.url) as parquet:
        schema = parquet.schema_arrow
        content = (schema.metadata or {}).get(FORMATS)
        if content and not file.formats:
            file = replace(file, formats=from_json(dict[str, str], content, f"{file.url}: {FORMATS.decode()}"))
        return Footer(file=file, rows=parquet.metadata.num_rows, schema=schema)


def with_formats(schema: pa.Schema, files: Iterable[SourceFile]) -> pa.Schema:
    """Return the columns of a file to write, with how they are written in the CSV files that its rows come from."""
    formats = {name: form for file in files for name, form in file.formats.items() if name in schema.names}
    return schema.with_metadata({FORMATS: to_json(formats)}) if formats else schema


def _with_partition_fields(footers: list[Footer], kinds: Mapping[str, Kind]) -> list[Footer]:
    names = footers[0].file.partition if footers else {}
    if twice := [name for name in names if any(name in footer.schema.names for footer in footers)]:
        log.warning(
            "%s: %s is in the path and in the file: that of the path is taken", footers[0].file.url, ", ".join(twice)
        )
    types = {
        name: _partition_type([footer.file.partition[name] for footer in footers], kinds.get(name)) for name in names
    }
    return [_with_fields(footer, types) for footer in footers] if names else footers


def _with_fields(footer: Footer, types: dict[str, pa.DataType]) -> Footer:
    # Partition columns go first, so that the last column, the default label, is one of the file's own.
    partition = {
        name: int(value) if pa.types.is_integer(types[name]) and value is not None else value
        for name, value in footer.file.partition.items()
    }
    fields = [pa.field(name, type) for name, type in types.items()]
    own = [field for field in footer.schema if field.name not in partition]
    dates = tuple(name for name, type in types.items() if pa.types.is_date(type))
    file = replace(footer.file, partition=partition, partition_dates=dates)
    return replace(footer, file=file, schema=pa.schema([*fields, *own], metadata=footer.schema.metadata))


def _partition_type(values: Iterable[int | str | None], kind: Kind | None) -> pa.DataType:
    texts = [str(value) for value in values if value is not None]
    if kind != CATEGORY and all(map((CODE if kind == "number" else INTEGER).fullmatch, texts)):
        return pa.int64()
    if kind in (None, "date", "timestamp") and all(map(_is_date, texts)):
        return pa.date32()
    return pa.string()


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
