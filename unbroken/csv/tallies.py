"""Counts over the cells of a column, as they stream by: what Arrow reads by itself, and how many are of each format."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from unbroken.csv.formats import CODE, LONG, MARKS, WHOLE, Format, NumberFormat

GROUPED = NumberFormat(",", ".")


@dataclass(frozen=True)
class Plain:
    """Values as Arrow itself reads them."""

    name: str
    kind: str
    type: pa.DataType

    def parse(self, texts: pa.Array) -> pa.Array:
        """Return the values; raise ArrowInvalid where a text is none."""
        return texts.cast(self.type)


INTEGER, FLOAT = Plain("integer", "number", pa.int64()), Plain("number", "number", pa.float64())
PLAIN = (
    INTEGER,
    FLOAT,
    Plain("date", "date", pa.date32()),
    Plain("timestamp", "timestamp", pa.timestamp("us")),
    Plain("timestamp", "timestamp", pa.timestamp("ns")),
    Plain("timestamp", "timestamp", pa.timestamp("us", "UTC")),
)
"""Of those that all cells of a column fit, the first is meant."""


@dataclass
class Plainness:
    """Which plain formats all cells of a column fit so far.

    Attributes:
        fitting: Those formats.
        cells: How many cells there were.
        zeros: Whether a number has a leading zero, as codes have.
        long: How many numbers have more digits than a float keeps, as ids have.
        points: Whether a point in a number can only be a decimal point.
    """

    fitting: tuple[Plain, ...] = PLAIN
    cells: int = 0
    zeros: bool = False
    long: int = 0
    points: bool = False

    def add(self, texts: pa.Array) -> None:
        """Take in cells that are neither blank nor words for nothing."""
        self.cells += len(texts)
        self.fitting = tuple(form for form in self.fitting if _fits(form, texts))
        if not {INTEGER, FLOAT} & {*self.fitting}:
            return
        self.zeros = self.zeros or _holds(texts, CODE)
        self.long += _sum(pc.match_substring_regex(texts, LONG))
        if INTEGER not in self.fitting and not self.points:
            dotted = texts.filter(pc.match_substring(texts, "."))
            self.points = GROUPED.parse(dotted).null_count > 0

    def __and__(self, other: "Plainness") -> "Plainness":
        fitting = tuple(form for form in self.fitting if form in other.fitting)
        cells, long = self.cells + other.cells, self.long + other.long
        return Plainness(fitting, cells, self.zeros or other.zeros, long, self.points or other.points)

    @property
    def codes(self) -> bool:
        """Whether the numbers are codes or ids, not amounts."""
        return self.zeros or self.long * 2 > self.cells


@dataclass
class Counts:
    """How many cells of a column are of each format.

    Attributes:
        formats: The cells by format.
        cells: All cells but words for nothing, and the column's own name, which a repeated header has.
        whole: Whole numbers of few digits.
        zeros: Digits with a leading zero, as codes have.
        long: More digits than a float keeps, as ids have.
        clock: Whether a cell names a time of day.
    """

    formats: Counter[Format] = field(default_factory=Counter)
    cells: int = 0
    whole: int = 0
    zeros: int = 0
    long: int = 0
    clock: bool = False

    def add(self, texts: pa.Array, name: str, formats: Iterable[Format]) -> None:
        """Take in cells that are not blank."""
        values, counts = texts.value_counts().flatten()
        trimmed = pc.utf8_trim_whitespace(values)
        passed = pc.or_(pc.equal(trimmed, name.strip()), pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array(MARKS)))
        values, counts = values.filter(pc.invert(passed)), counts.filter(pc.invert(passed))
        self.cells += _sum(counts)
        self.whole += _sum(counts.filter(pc.match_substring_regex(values, WHOLE)))
        self.zeros += _sum(counts.filter(pc.match_substring_regex(values, CODE)))
        self.long += _sum(counts.filter(pc.match_substring_regex(values, LONG)))
        self.clock = self.clock or _holds(values, r"[0-9]:[0-9]")
        for form in formats:
            self.formats[form] += _sum(counts.filter(pc.is_valid(form.parse(values))))

    @property
    def codes(self) -> bool:
        """Whether numbers among the cells are codes or ids, not amounts."""
        return self.zeros > 0 or self.long * 2 > self.cells

    def __add__(self, other: "Counts") -> "Counts":
        formats = {form: self.formats[form] + other.formats[form] for form in {*self.formats, *other.formats}}
        sums = {name: getattr(self, name) + getattr(other, name) for name in ("cells", "whole", "zeros", "long")}
        return Counts(Counter(formats), **sums, clock=self.clock or other.clock)


def _fits(form: Plain, texts: pa.Array) -> bool:
    try:
        form.parse(texts)
    except pa.ArrowInvalid:
        return False
    return True


def _holds(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())


def _sum(counts: pa.Array) -> int:
    return pc.sum(counts).as_py() or 0
