"""Where the table begins in the records of a CSV file, and what its columns are called."""

from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa

from unbroken.csv.formats import looks_typed

Records = list[list[str]]

MOST_ABOVE = 20
"""Of more lines, nobody says that they stand above a table."""
LEAST_ROW_NAMES = 5
"""Of fewer rows, nobody can tell a name of a row from a field too many."""
NEARLY_ALL = 0.9
SHOWN = 60


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The table in some records.

    Attributes:
        names: The columns.
        above: The records before the header or the first row, blank ones too.
        header: Whether the next one names the columns.
        padded: Whether a space follows each delimiter, which belongs to no field.
        doubts: What a person should look at.
    """

    names: tuple[str, ...]
    above: int
    header: bool
    padded: bool = False
    doubts: tuple[str, ...] = field(default=())


def find_layout(records: Records, header: bool | None) -> Layout:
    """Return where the table is in the first records of a file; at least one of them holds text.

    Args:
        records: The records, blank ones without any field.
        header: Whether there is one, if that is known.
    """
    above = _lines_above(records)
    rows = [record for record in records[above:] if record]
    above += next(index for index, record in enumerate(records[above:]) if record)
    doubts = [f"passed over what stands above the table: {_shown(records[:above])}"] if any(records[:above]) else []
    named, names = has_header(rows) if header is None else header, rows[0]
    if not named:
        names = [f"column_{number}" for number in range(1, len(rows[0]) + 1)]
        return Layout(names=tuple(names), above=above, header=False, doubts=tuple(doubts))
    if header is None and (values := [name for name, typed in zip(names, _typed(names), strict=True) if typed]):
        doubts.append(
            f"took the first line for names, though {', '.join(values[:3])} could be values (data.csv.header)"
        )
    if padded := len(names) > 1 and all(name.startswith(" ") for name in names[1:]):
        names = [name.strip() for name in names]
    names = [names[0].lstrip("\ufeff"), *names[1:]]
    names = names if padded else _completed(names, rows[1:], doubts)  # a quote behind a space is none to a parser
    return Layout(names=tuple(names), above=above, header=True, padded=padded, doubts=tuple(doubts))


def usual_width(records: Records) -> tuple[int, float]:
    """Return how many fields most records have, blank ones apart, and the share of these."""
    widths = Counter(len(record) for record in records if record)
    width, count = widths.most_common(1)[0] if widths else (0, 0)
    return width, count / max(1, widths.total())


def has_header(rows: Records) -> bool:
    """Tell whether the first row names the columns.

    It does unless it holds numbers or dates beside words that come again, or one number twice, or most of its words are
    values of their columns further down; a row that repeats it whole, as in files put together, tells nothing.
    """
    first, others = rows[0], [row for row in rows[1:] if row != rows[0]]
    if [name.strip() for name in first] == [str(number) for number in range(len(first))]:
        return True  # how a table without names is written by pandas
    if not others:
        return True
    typed = _typed(first)
    words = [column for column, is_typed in enumerate(typed) if not is_typed and first[column].strip()]
    again = [column for column in words if any(len(row) > column and row[column] == first[column] for row in others)]
    values = [name for name, is_typed in zip(first, typed, strict=True) if is_typed]
    if not values:
        return len(again) * 2 < len(words) or not again
    if len(set(values)) < len(values):
        return False
    if any(not name.strip() for name in first):
        return True
    return len(again) * 2 < len(words) or (not again and bool(words))


def _typed(names: list[str]) -> list[bool]:
    return looks_typed(pa.array(names, pa.string())).to_pylist()


def _lines_above(records: Records) -> int:
    """Return how many records come before the first that is as wide as nearly all others are."""
    width, share = usual_width(records)
    lengths = [len(record) for record in records]
    first = next((index for index, length in enumerate(lengths) if length), 0)
    if width < 2 or share < NEARLY_ALL or _is_short_header(lengths[first], width):
        return 0
    start = lengths.index(width)
    rest = [length for length in lengths[start:] if length]
    if start > MOST_ABOVE or rest.count(width) < NEARLY_ALL * len(rest):
        return 0
    return start + 1 if _is_title(records[start:]) else start


def _is_short_header(length: int, width: int) -> bool:
    return length == width - 1 and length > 1


def _is_title(records: Records) -> bool:
    """Tell whether a record holds a title beside empty fields, and the next one the names."""
    first = records[0]
    second = next((record for record in records[1:] if record), [])
    return (
        sum(map(bool, first)) * 2 < len(first) == len(second)
        and all(name.strip() for name in second)
        and not any(_typed(second))
    )


def _completed(names: list[str], rows: Records, doubts: list[str]) -> list[str]:
    """Return names for all fields where each row has one more than the header: row names, or a delimiter at its end."""
    width, share = usual_width(rows)
    if not rows or share < NEARLY_ALL or not _is_short_header(len(names), width):
        return names
    if all(not row[-1].strip() for row in rows if len(row) == width):
        return [*names, ""]
    if not _are_row_names([row[0] for row in rows if row]):
        return names
    doubts.append(f"found one field more than the {len(names)} names in each row: the first holds names of rows")
    return ["", *names]


def _are_row_names(texts: list[str]) -> bool:
    """Tell whether texts are numbers one after the other, or different words, as R writes before each row."""
    if len(texts) < LEAST_ROW_NAMES:
        return False
    if all(text.isdecimal() for text in texts):
        return [int(text) for text in texts] in (list(range(len(texts))), list(range(1, len(texts) + 1)))
    return len(set(texts)) == len(texts) and not any(_typed(texts))


def _shown(records: Records) -> str:
    lines = [" ".join(filter(None, record)) for record in records if record]
    text = "; ".join(lines)
    return f"{text[:SHOWN]}..." if len(text) > SHOWN else text
