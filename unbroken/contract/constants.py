"""Which columns hold one and the same value in every row: nothing can be learnt from them."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from unbroken.data.parquet import read_slices
from unbroken.data.schema import Column
from unbroken.data.sources import SourceFile

CONSTANT = "one value in every row"


def find_constants(head: pa.Table, columns: Sequence[Column], files: tuple[SourceFile, ...]) -> dict[str, str]:
    """Return the columns that are constant in all rows, and why that leaves them out; a missing value is another one.

    Args:
        head: The first rows; only a column that is constant in these is read on.
        columns: Those to judge.
        files: All rows.
    """
    values = {column.name: _single(head.column(column.name)) for column in columns}
    singles = {name: value for name, value in values.items() if value is not None}
    if singles:
        for part in read_slices(files, list(singles)):
            singles = {name: value for name, value in singles.items() if _is_all(part.column(name), value)}
            if not singles:
                break
    return dict.fromkeys(singles, CONSTANT)


def _single(values: pa.Array | pa.ChunkedArray) -> pa.Scalar | None:
    """Return the one value that all are; None if there are others, or missing ones."""
    if not len(values) or pc.any(pc.is_null(values, nan_is_null=True)).as_py():
        return None
    different = values.unique()
    return different[0] if len(different) == 1 else None


def _is_all(values: pa.Array, value: pa.Scalar) -> bool:
    single = _single(values)
    return single is not None and single.type == value.type and single.equals(value)
