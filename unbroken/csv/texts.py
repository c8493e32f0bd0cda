"""The cells of a CSV file as texts, some rows at a time."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from unbroken.csv.dialect import Dialect
from unbroken.csv.opening import open_text
from unbroken.data.sources import SourceFile, data_errors
from unbroken.errors import DataError

BLOCK_BYTES = 1 << 25
SHOWN_TEXT = 80


def read_cells(
    file: SourceFile,
    dialect: Dialect,
    columns: Sequence[int],
    types: Mapping[int, pa.DataType],
    words: Sequence[str] = (),
) -> Iterator[pa.RecordBatch]:
    """Yield some columns of a file, by their positions, as texts or, where `types` names one, as values.

    Args:
        file: The CSV file.
        dialect: How it is written.
        columns: The positions of the columns, from 0, in the order asked for.
        types: The types of columns that Arrow parses.
        words: What stands for nothing in these.

    Raises:
        DataError: A row has another number of fields, or the file cannot be read.
    """
    if dialect.is_empty:
        return
    names = [str(position) for position in range(len(dialect.names))]
    read = pyarrow.csv.ReadOptions(
        column_names=names,
        skip_rows=dialect.above,
        skip_rows_after_names=dialect.skip,
        encoding=dialect.encoding,
        block_size=BLOCK_BYTES,
    )
    ragged: list[pyarrow.csv.InvalidRow] = []
    parse = pyarrow.csv.ParseOptions(
        delimiter=dialect.delimiter,
        newlines_in_values=True,
        invalid_row_handler=lambda row: ragged.append(row) or "error",
    )
    convert = pyarrow.csv.ConvertOptions(
        column_types={name: types.get(int(name), pa.string()) for name in names},
        include_columns=[str(position) for position in columns],
        null_values=list(dict.fromkeys(("", *words))),
        strings_can_be_null=False,
    )
    with data_errors(file.url), open_text(file, dialect.max_expansion) as stream:
        try:
            yield from pyarrow.csv.open_csv(stream, read, parse, convert)
        except pa.ArrowInvalid as error:
            if not ragged:
                raise
            raise DataError(_of_other_width(file, dialect, ragged[0])) from error


def _of_other_width(file: SourceFile, dialect: Dialect, row: Any) -> str:
    text = " ".join(row.text.split())
    return (
        f"{file.url}: cannot be read: found a row of {row.actual_columns} fields, expected {row.expected_columns} as there are "
        f"columns: {text[:SHOWN_TEXT]!r}. Mend or delete it, or name data.csv.delimiter if it is not {dialect.delimiter!r}"
    )


def without_nulls(texts: pa.Array, words: pa.Array) -> pa.Array:
    """Return texts with null where one is blank or a word for nothing."""
    nothing = pc.is_in(pc.utf8_trim_whitespace(texts), value_set=words)
    return pc.if_else(nothing, pa.scalar(None, pa.string()), texts)
