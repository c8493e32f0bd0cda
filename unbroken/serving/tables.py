"""Rows in any shape that names their columns, as an Arrow table."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from unbroken.errors import DataError

WAYS_OUT = (
    "expected rows with named columns: a pandas frame, an Arrow table, a dict of columns, or a list of rows as dicts. "
    "Name the columns of an array by pandas.DataFrame(array, columns=[...])"
)
ARROW_EXPORTS = ("__arrow_c_array__", "__arrow_c_stream__")


def as_table(rows: Any, names: Sequence[str]) -> pa.Table:
    """Return rows as a table.

    Args:
        rows: A frame or whatever Arrow reads as a table, a dict of columns, a list of rows as dicts, or one row as a dict or
            a pandas Series.
        names: The columns of a table of no rows that does not name any.

    Raises:
        DataError: The rows have no names for their columns, or a column holds values of several types.
    """
    try:
        return _as_table(rows, names)
    except (TypeError, ValueError, OverflowError, AttributeError, pa.ArrowException) as error:
        raise DataError(f"rows: found {_describe(rows)}: {error}; {WAYS_OUT}") from error


def _as_table(rows: Any, names: Sequence[str]) -> pa.Table:
    if _is_series(rows):
        rows = dict(zip(rows.index, rows, strict=True))
    if isinstance(rows, Mapping):
        return pa.table(_columns(rows))
    if isinstance(rows, list | tuple):
        return _rows_table(rows, names)
    if isinstance(rows, pa.Table | pa.RecordBatch) or _is_frame(rows):
        table = pa.table(rows)
        return table if table.num_columns or table.num_rows else _no_rows(names)
    raise DataError(f"rows: found {_describe(rows)}, {WAYS_OUT}")


def _rows_table(rows: Sequence[Any], names: Sequence[str]) -> pa.Table:
    rows = [dict(zip(row.index, row, strict=True)) if _is_series(row) else row for row in rows]
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise DataError(f"rows: found {_describe(row)} as row {index} of a list, {WAYS_OUT}")
    keys = list(dict.fromkeys(_text(key) for row in rows for key in row))
    return pa.table({key: [row.get(key) for row in rows] for key in keys}) if rows else _no_rows(names)


def _columns(columns: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a dict of columns; one of single values is one row."""
    single = {_text(name): not _is_column(value) for name, value in columns.items()}
    if len(set(single.values())) > 1:
        odd = ", ".join(name for name, one in single.items() if one)
        raise DataError(f"rows: found a dict of columns with a single value for {odd}, {WAYS_OUT}")
    return {name: [value] if single[name] else value for name, value in columns.items()}


def _text(name: Any) -> str:
    if not isinstance(name, str):
        raise DataError(f"rows: found {name!r} as the name of a column, {WAYS_OUT}")
    return name


def _no_rows(names: Sequence[str]) -> pa.Table:
    return pa.table({name: pa.nulls(0) for name in names})


def _is_column(value: Any) -> bool:
    arrays = hasattr(value, "__array__") and bool(getattr(value, "ndim", 1))
    return isinstance(value, list | tuple | range | pa.Array | pa.ChunkedArray) or arrays


def _is_series(value: Any) -> bool:
    return hasattr(value, "index") and hasattr(value, "to_frame") and not hasattr(value, "columns")


def _is_frame(value: Any) -> bool:
    return (
        hasattr(value, "columns")
        or hasattr(value, "__dataframe__")
        or any(hasattr(value, name) for name in ARROW_EXPORTS)
    )


def _describe(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__}{f' of shape {tuple(shape)}' if shape is not None else ''}"
