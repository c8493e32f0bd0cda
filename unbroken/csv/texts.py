"""The cells of a CSV file as texts, some rows at a time."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from unbroken.csv.dialect import Dialect
from unbroken.csv.opening import open_text
from unbroken.data.sources import SourceFile, data_errors

BLOCK_BYTES = 1 << 25


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
        column_names=names, skip_rows_after_names=dialect.skip, encoding=dialect.encoding, block_size=BLOCK_BYTES
    )
    parse = pyarrow.csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True)
    convert = pyarrow.csv.ConvertOptions(
        column_types={name: types.get(int(name), pa.string()) for name in names},
        include_columns=[str(position) for position in columns],
        null_values=list(dict.fromkeys(("", *words))),
        strings_can_be_null=False,
    )
    with data_errors(file.url), open_text(file, dialect.max_expansion) as stream:
        yield from pyarrow.csv.open_csv(stream, read, parse, convert)


def without_nulls(texts: pa.Array, words: pa.Array) -> pa.Array:
    """Return texts with null where one is blank or a word for nothing."""
    nothing = pc.is_in(pc.utf8_trim_whitespace(texts), value_set=words)
    return pc.if_else(nothing, pa.scalar(None, pa.string()), texts)
