"""What a person is shown of a contract before training: each column, an example, what it is used for."""

import re

import pyarrow as pa
import pyarrow.compute as pc

from unbroken.data.kinds import CATEGORY, PER_SECOND
from unbroken.data.schema import Column, Schema
from unbroken.errors.escaping import escape_controls

SHOWN_COLUMNS = 200
SHOWN_CLASSES = 10
WIDTH = 24
NO_FRACTION = re.compile(r"\.0+$")
Line = tuple[str, str, str, str, str, str]


def overview(head: pa.Table, schema: Schema, rows: int) -> list[str]:
    """Return the contract as the lines of a table.

    Args:
        head: The first rows, features and label.
        schema: The contract.
        rows: The number of all rows.
    """
    judged = "" if len(head) >= rows else f" (missing and distinct of the first {len(head):,})"
    lines: list[Line] = [("column", "kind", "example", "missing", "distinct", "use")]
    lines += [_line(column, head.column(column.name), "feature") for column in schema.features[:SHOWN_COLUMNS]]
    further = len(schema.features) - SHOWN_COLUMNS
    lines += [(f"... {further} more", "", "", "", "", "feature")] if further > 0 else []
    lines.append(_line(schema.label, head.column(schema.label.name), "label"))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return [f"{rows:,} rows{judged}", *table, f"task: {_task(schema)}"]


def _line(column: Column, values: pa.ChunkedArray, use: str) -> Line:
    missing = pc.sum(pc.is_null(values, nan_is_null=True)).as_py() or 0
    present = values.drop_null()
    example = _short(_example(present.slice(0, 1))) if len(present) else ""
    constant = " (one value)" if use == "feature" and len(present) and _distinct(present) == 1 else ""
    kind = "text" if column.kind == CATEGORY and pa.types.is_string(values.type) else column.kind
    return _short(column.name), kind, example, f"{missing:,}", f"{_distinct(present):,}", use + constant


def _example(value: pa.ChunkedArray) -> str:
    """Return the text of one value; moments are those of UTC, and may be of years that Python has no dates for."""
    if pa.types.is_timestamp(value.type):
        return NO_FRACTION.sub("", value.cast(pa.timestamp(value.type.unit)).cast(pa.string())[0].as_py())
    if pa.types.is_duration(value.type):
        return f"{value.cast(pa.int64())[0].as_py() / PER_SECOND[value.type.unit]:g} s"
    plain = value.cast(pa.string()) if pa.types.is_temporal(value.type) else value
    return str(plain[0].as_py())


def _distinct(values: pa.ChunkedArray) -> int:
    return pc.count_distinct(values).as_py()


def _short(text: str) -> str:
    shown = escape_controls(text)
    return shown if len(shown) <= WIDTH else shown[: WIDTH - 3] + "..."


def _task(schema: Schema) -> str:
    if not schema.classes:
        return f"regression of {schema.label.name}"
    shown = ", ".join(_short(str(value)) for value in schema.classes[:SHOWN_CLASSES])
    more = f", ... {len(schema.classes) - SHOWN_CLASSES} more" if len(schema.classes) > SHOWN_CLASSES else ""
    return f"{schema.task}, {schema.label.name} is one of {shown}{more}"
