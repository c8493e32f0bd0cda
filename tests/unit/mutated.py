"""Sources as damage, odd programs and malice leave them: the same for the same seed."""

import gzip
import io
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 60
NAMES = (
    "",
    " ",
    "x",
    "x ",
    "label",
    "a\nb",
    'a"b',
    "a,b",
    "\x00",
    "\x1b[31m",
    "é",
    "日本",
    "0",
    "x__missing",
    "a.b",
    "n" * 9999,
)
NAMES += (
    "__index_level_0__",
    "Unnamed: 0",
    "__proto__",
    "../../etc",
    "{0}",
    "%s",
    "\ufeff",
    "\u202e",
    "null",
    "id",
    "None",
)
CELLS = ("", " ", '"', '""', "'", "\\", "\x00", "\r", "\n", "nan", "inf", "-inf", "1e999", "-1e-999", "9" * 400, "0x1f")
CELLS += (
    "1,5",
    "1;5",
    "12/31/2020",
    "31/12/2020",
    "9999-12-31",
    "0000-00-00",
    "2020-02-30",
    "24:60",
    "true",
    "?",
    "€5",
)
CELLS += ("10%", "(3)", "-" * 9, "1 days 00:00:00", "t" * 200_000, "\ufeff", "💥", "#REF!", "=1+1", "١٢٣", "1" * 17)
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "latin-1", "cp037", "utf-7")

Table = list[list[str]]


def mutated(kind: str, seed: int, folder: Path) -> tuple[str, Path]:
    """Write a source with one to three changes.

    Args:
        kind: `csv` or `parquet`.
        seed: Which of the changes.
        folder: Where the files go, made anew.

    Returns:
        The names of the changes, and the source.
    """
    draw = random.Random(seed)
    folder.mkdir(parents=True)
    return (_csv if kind == "csv" else _parquet)(draw, folder)


def _table(draw: random.Random) -> Table:
    rows = [
        [f"{draw.gauss(0, 1):.3f}", draw.choice("abc"), f"2020-01-{1 + row % 28:02d}", str(row % 2)]
        for row in range(ROWS)
    ]
    return [["x", "kind", "day", "label"], *rows]


def _cell(table: Table, draw: random.Random) -> None:
    for _ in range(draw.choice((1, 3, ROWS))):
        row = draw.choice(table[1:])
        row[draw.randrange(len(row))] = draw.choice(CELLS)


def _name(table: Table, draw: random.Random) -> None:
    table[0][draw.randrange(len(table[0]))] = draw.choice(NAMES)


def _ragged(table: Table, draw: random.Random) -> None:
    row = draw.choice(table)
    row[:] = draw.choice((row[:-1], [*row, "1"], [], row * 3, [""] * len(row)))


def _repeated(table: Table, draw: random.Random) -> None:
    table.insert(draw.randrange(len(table)), list(draw.choice(table)))


def _column(table: Table, draw: random.Random) -> None:
    value = draw.choice(CELLS)
    column = draw.randrange(4)
    for row in table[1:]:
        if len(row) > column:
            row[column] = value


def _short(table: Table, draw: random.Random) -> None:
    del table[draw.randrange(5) :]


def _no_header(table: Table, _: random.Random) -> None:
    del table[0]


TABLE_CHANGES = (_cell, _cell, _cell, _name, _name, _ragged, _repeated, _column, _short, _no_header)


def _flipped(content: bytes, draw: random.Random) -> bytes:
    result = bytearray(content)
    for _ in range(draw.choice((1, 2, 20)) if result else 0):
        result[draw.randrange(len(result))] ^= 1 << draw.randrange(8)
    return bytes(result)


def _cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def _inserted(content: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(content) + 1)
    return (
        content[:place]
        + draw.choice((b'"', b"\0", b"\r", b"\n\n", b"\xff", b",", b";", b"\xef\xbb\xbf", b"\x80" * 9))
        + content[place:]
    )


def _doubled(content: bytes, _: random.Random) -> bytes:
    return content * 2


BYTE_CHANGES = (_flipped, _cut, _inserted, _doubled)


def _csv(draw: random.Random, folder: Path) -> tuple[str, Path]:
    table, names = _table(draw), []
    for change in draw.sample(TABLE_CHANGES, draw.choice((0, 1, 1, 2))):
        if len(table) > 1:
            change(table, draw)
            names.append(change.__name__)
    quote = draw.choice(('"', '"', ""))
    delimiter, end = draw.choice(",,,;\t|"), draw.choice(("\n", "\n", "\r\n", "\r"))
    text = end.join(delimiter.join(f"{quote}{cell}{quote}" for cell in row) for row in table) + draw.choice((end, ""))
    encoding = draw.choice(("utf-8", "utf-8", "utf-8", *ENCODINGS))
    content = text.encode(encoding, "replace")
    for change in draw.sample(BYTE_CHANGES, draw.choice((0, 0, 1, 2))):
        content = change(content, draw)
        names.append(change.__name__)
    packed = draw.random() < 0.15
    (folder / ("a.csv.gz" if packed else "a.csv")).write_bytes(gzip.compress(content, mtime=0) if packed else content)
    if draw.random() < 0.15:
        names.append("_other_file")
        other = _table(draw)
        draw.choice(TABLE_CHANGES)(other, draw)
        (folder / "b.csv").write_text("\n".join(",".join(row) for row in other), encoding="utf-8", errors="replace")
    return " ".join([encoding, *names]), folder


def _columns(draw: random.Random) -> dict[str, pa.Array]:
    return {
        "x": pa.array([draw.gauss(0, 1) for _ in range(ROWS)]),
        "kind": pa.array([draw.choice("abc") for _ in range(ROWS)]),
        "day": pa.array([18262 + row % 28 for row in range(ROWS)], pa.int32()).cast(pa.date32()),
        "label": pa.array([row % 2 for row in range(ROWS)]),
    }


NUMBERS: tuple[Any, ...] = (
    float("nan"),
    float("inf"),
    -float("inf"),
    1.7e308,
    -1.7e308,
    5e-324,
    2.0**53 + 2,
    1e16,
    None,
    -0.0,
)
COUNTS: tuple[tuple[pa.DataType, int, int], ...] = (
    (pa.int8(), -128, 127), (pa.int64(), -(2**63), 2**63 - 1), (pa.uint64(), 0, 2**64 - 1), (pa.date32(), -(2**31), 2**31 - 1),
    (pa.timestamp("s"), -(2**53), 2**53), (pa.timestamp("ns"), -(2**63) + 1, 2**63 - 1),
    (pa.timestamp("us"), -(2**63) + 1, 2**63 - 1), (pa.timestamp("us", "Nowhere/City"), 0, 2**62),
    (pa.time32("s"), 0, 86_399), (pa.time64("ns"), 0, 86_399_999_999_999), (pa.duration("s"), -(2**63) + 1, 2**63 - 1),
    (pa.duration("ns"), -(2**63) + 1, 2**63 - 1),
)  # fmt: skip
"""Types of counts, with the least and the largest that a file can hold."""
OTHERS: tuple[pa.Array, ...] = (
    pa.array([row % 3 for row in range(ROWS)], pa.int64()).cast(pa.float32()).cast(pa.float16()),
    *(pa.array([Decimal(row % 3) for row in range(ROWS)], type) for type in (pa.decimal32(9, 2), pa.decimal128(38, 10))),
    pa.array([Decimal(10) ** 70 + row for row in range(ROWS)], pa.decimal256(76, 0)),
    pa.array([row % 3 == 0 for row in range(ROWS)]), pa.nulls(ROWS), pa.array([[1]] * ROWS), pa.array([{"a": 1}] * ROWS),
    *(pa.array([CELLS[row % len(CELLS)].encode("utf-8", "replace") for row in range(ROWS)], pa.binary()).cast(type)
      for type in (pa.binary(), pa.string(), pa.large_string(), pa.string_view())),
    pa.array([CELLS[row % 7] for row in range(ROWS)]).dictionary_encode(),
)  # fmt: skip


def _extreme(columns: dict[str, pa.Array], draw: random.Random) -> None:
    values: list[float | None] = [draw.gauss(0, 1) for _ in range(ROWS)]
    for _ in range(draw.choice((1, 5, ROWS))):
        values[draw.randrange(ROWS)] = draw.choice(NUMBERS)
    columns["x"] = pa.array(values, pa.float64())


def _counted(columns: dict[str, pa.Array], draw: random.Random) -> None:
    type, least, most = draw.choice(COUNTS)
    values = [draw.choice((0, 1, least, most, draw.randint(least, most), None)) for _ in range(ROWS)]
    columns[draw.choice(list(columns))] = pa.array(values, type)


def _retyped(columns: dict[str, pa.Array], draw: random.Random) -> None:
    columns[draw.choice(list(columns))] = draw.choice(OTHERS)


def _renamed(columns: dict[str, pa.Array], draw: random.Random) -> None:
    name = draw.choice(list(columns))
    columns[draw.choice(NAMES)] = columns.pop(name)


def _gone(columns: dict[str, pa.Array], draw: random.Random) -> None:
    del columns[draw.choice(list(columns))]


COLUMN_CHANGES = (_extreme, _extreme, _counted, _counted, _retyped, _retyped, _renamed, _gone)


def _parquet_file(draw: random.Random, path: Path) -> list[str]:
    columns, names = _columns(draw), []
    for change in draw.sample(COLUMN_CHANGES, draw.choice((0, 1, 1, 2))):
        if "x" in columns and len(columns) > 2:
            change(columns, draw)
            names.append(change.__name__)
    order = list(columns.items())
    if draw.random() < 0.1:
        order.append(order[0])
        names.append("_twice")
    table = pa.table([values for _, values in order], names=[name for name, _ in order])
    if draw.random() < 0.1:
        table = table.slice(0, draw.randrange(4))
    buffer = io.BytesIO()
    pq.write_table(
        table, buffer, compression=draw.choice(("none", "snappy", "zstd")), row_group_size=draw.choice((1, 7, 60)),
        write_page_checksum=draw.random() < 0.5,
    )  # fmt: skip
    content = buffer.getvalue()
    for change in draw.sample(BYTE_CHANGES, draw.choice((0, 0, 1, 1, 2))):
        content = change(content, draw)
        names.append(change.__name__)
    if draw.random() < 0.15:  # the footer alone
        place = draw.randrange(max(1, len(content) - 800), len(content))
        content = content[:place] + bytes([draw.randrange(256)]) + content[place + 1 :]
        names.append("footer")
    path.write_bytes(content)
    return names


def _parquet(draw: random.Random, folder: Path) -> tuple[str, Path]:
    names = _parquet_file(draw, folder / "a.parquet")
    if draw.random() < 0.2:
        names += ["other:", *_parquet_file(draw, folder / "b.parquet")]
    return " ".join(names), folder
