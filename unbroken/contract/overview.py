"""What a person is shown of a contract before training: each column, an example, what it is used for."""

import re
from collections.abc import Mapping
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc

from unbroken.data.kinds import CATEGORY, PER_SECOND, kind_of
from unbroken.data.schema import Schema
from unbroken.errors.escaping import escape_controls

SHOWN_COLUMNS = 200
SHOWN_CLASSES = 10
WIDTH = 24
NO_FRACTION = re.compile(r"\.0+$")
NONE: Mapping[str, str] = MappingProxyType({})
Line = tuple[str, str, str, str, str, str]


def overview(head: pa.Table, schema: Schema, rows: int, left_out: Mapping[str, str] = NONE) -> list[str]:
    """Return the contract as the lines of a table: the features, what is left out, the label.

    Args:
        head: The first rows: features, label, and what else can be shown an example of.
        schema: The contract.
        rows: The number of all rows.
        left_out: The columns that are no features, and why.
    """
    judged = "" if len(head) >= rows else f" (missing and distinct of the first {len(head):,})"
    lines: list[Line] = [("column", "kind", "example", "missing", "distinct", "use")]
    lines += _lines({column.name: column.kind for column in schema.features}, head, "used")
    lines += _lines({name: f"left out: {why}" for name, why in left_out.items()}, head, "left out")
    lines.append(_line(schema.label.name, head, "label"))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return [f"{rows:,} rows{judged}", *table, f"task: {_task(schema)}"]


def _lines(uses: Mapping[str, str], head: pa.Table, rest: str) -> list[Line]:
    """Return a line a column, and one that counts those that are too many to be shown."""
    lines = [_line(name, head, use) for name, use in list(uses.items())[:SHOWN_COLUMNS]]
    further = len(uses) - SHOWN_COLUMNS
    return lines + ([(f"... {further} more", "", "", "", "", rest)] if further > 0 else [])


def _line(name: str, head: pa.Table, use: str) -> Line:
    if name not in head.column_names:
        return _short(name), "", "", "", "", use
    values = head.column(name)
    missing = pc.sum(pc.is_null(values, nan_is_null=True)).as_py() or 0
    present = values.drop_null()
    example = _short(_example(present.slice(0, 1))) if len(present) else ""
    return _short(name), _kind(values.type), example, f"{missing:,}", f"{_distinct(present):,}", use


def _kind(type: pa.DataType) -> str:
    kind = kind_of(type)
    return "text" if kind == CATEGORY else kind or str(type)


def _example(value: pa.ChunkedArray) -> str:
    """Return the text of one value; moments are those of UTC, and may be of years that Python has no dates for."""
    if pa.types.is_timestamp(value.type):
        return NO_FRACTION.sub("", value.cast(pa.timestamp(value.type.unit)).cast(pa.string())[0].as_py())
    if pa.types.is_duration(value.type):
        return f"{value.cast(pa.int64())[0].as_py() / PER_SECOND[value.type.unit]:g} s"
    plain = value.cast(pa.string()) if pa.types.is_temporal(value.type) else value
    return str(plain[0].as_py())


def _distinct(values: pa.ChunkedArray) -> int:
    return pc.count_distinct(values).as_py() if len(values) else 0


def _short(text: str) -> str:
    shown = escape_controls(text)
    return shown if len(shown) <= WIDTH else shown[: WIDTH - 3] + "..."


def _task(schema: Schema) -> str:
    if not schema.classes:
        return f"regression of {schema.label.name}"
    shown = ", ".join(_short(str(value)) for value in schema.classes[:SHOWN_CLASSES])
    more = f", ... {len(schema.classes) - SHOWN_CLASSES} more" if len(schema.classes) > SHOWN_CLASSES else ""
    return f"{schema.task}, {schema.label.name} is one of {shown}{more}"
