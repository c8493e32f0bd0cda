"""What is known of Parquet files without reading their rows."""

import re
from dataclasses import dataclass, replace

import pyarrow as pa

from unbroken.data.parquet import open_parquet
from unbroken.data.sources import SourceFile

INTEGER = re.compile(r"-?[0-9]{1,18}")
"""A partition value that is a number: its folder's name has no type."""


@dataclass(frozen=True, kw_only=True)
class Footer:
    """What is known of a file without reading its rows; its partition columns are part of the schema."""

    file: SourceFile
    rows: int
    schema: pa.Schema


def read_footers(files: list[SourceFile]) -> list[Footer]:
    """Read the footers of Parquet files, those without rows left out; their partition columns get types."""
    footers = [_footer(file) for file in files]
    return _with_partition_fields([footer for footer in footers if footer.rows])


def _footer(file: SourceFile) -> Footer:
    with open_parquet(file.url) as parquet:
        return Footer(file=file, rows=parquet.metadata.num_rows, schema=parquet.schema_arrow)


def _with_partition_fields(footers: list[Footer]) -> list[Footer]:
    names = footers[0].file.partition if footers else {}
    integers = {name: all(_is_integer(footer.file.partition[name]) for footer in footers) for name in names}
    return [_with_fields(footer, integers) for footer in footers]


def _with_fields(footer: Footer, integers: dict[str, bool]) -> Footer:
    # Partition columns go first, so that the last column, the default label, is one of the file's own.
    partition = {
        name: int(value) if integers[name] and value is not None else value
        for name, value in footer.file.partition.items()
    }
    fields = [pa.field(name, pa.int64() if integers[name] else pa.string()) for name in partition]
    stored = [field for field in footer.schema if field.name not in partition]
    file = replace(footer.file, partition=partition)
    return replace(footer, file=file, schema=pa.schema([*fields, *stored]))


def _is_integer(value: str | int | None) -> bool:
    return value is None or INTEGER.fullmatch(str(value)) is not None
