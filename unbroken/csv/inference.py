"""What the columns of CSV files are, over all rows of all files: one pass, and one more over columns that are not plain."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add, and_

import pyarrow as pa

from unbroken.csv.dialect import Dialect
from unbroken.csv.formats import (
    BOOLEAN,
    COMPACT,
    DATES,
    DAY_FIRST,
    DURATION,
    MONTH_FIRST,
    NUMBERS,
    TIME,
    WORDS,
    DateFormat,
    Format,
    NumberFormat,
)
from unbroken.csv.reading import Known, Reading
from unbroken.csv.tallies import FLOAT, INTEGER, Counts, Plainness
from unbroken.csv.texts import read_cells, without_nulls
from unbroken.data.kinds import CATEGORY, KINDS
from unbroken.data.sources import SourceFile
from unbroken.errors import DataError

log = logging.getLogger(__name__)

ENOUGH = 0.95
"""A column is of a format where more than this share of its cells are."""
MANY = 0.5
"""Where this share are, but not enough, a person is told."""
FORMATS: tuple[Format, ...] = (*NUMBERS, *DATES, COMPACT, BOOLEAN, TIME, DURATION)
GUESSED: tuple[Format, ...] = tuple(form for form in FORMATS if form != COMPACT)
OF_KIND: dict[str, tuple[Format, ...]] = {
    "number": NUMBERS,
    "boolean": (WORDS,),
    "date": (*DATES, COMPACT),
    "timestamp": (*DATES, COMPACT),
    "time": (TIME,),
    "duration": (DURATION,),
}
"""The formats that a column of a known kind may have."""
ORDERS = (DAY_FIRST, MONTH_FIRST)


@dataclass(frozen=True)
class Text:
    """Texts as they are."""

    name: str = "text"
    kind: str = CATEGORY

    def parse(self, texts: pa.Array) -> pa.Array:
        """Return the texts."""
        return texts


TEXT = Text()


@dataclass(frozen=True, kw_only=True)
class CsvFile:
    """A CSV file and how it is written."""

    file: SourceFile
    dialect: Dialect


@dataclass(frozen=True)
class ColumnFormat:
    """How the cells of a column become values of an Arrow type; `strays` tells whether some are of no such format."""

    format: Format
    type: pa.DataType
    strays: bool = False


AS_TEXT, AS_NULLS = ColumnFormat(TEXT, pa.string()), ColumnFormat(TEXT, pa.null())


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What columns that can be read in one way only say of those that can be read in two: None if nothing, or both."""

    decimal: str | None
    order: str | None


@dataclass
class Inference:
    """Tallies by column name and file, and what follows of them."""

    files: list[CsvFile]
    reading: Reading
    plain: dict[str, dict[str, Plainness]] = field(default_factory=dict)
    counts: dict[str, dict[str, Counts]] = field(default_factory=dict)
    by_file: dict[str, dict[str, ColumnFormat]] = field(default_factory=dict)

    def run(self) -> dict[str, dict[str, ColumnFormat]]:
        """Return for each file how each of its columns is read; raise DataError if a setting fits no cell."""
        kinds = {name: known.kind for name, known in self.reading.columns.items()}
        self._tally_plain(kinds)
        plain = {name: reduce(and_, parts.values()) for name, parts in self.plain.items()}
        messy = {name for name, tally in plain.items() if tally.cells and not self._plain_format(name, tally)}
        self._count(messy)
        marks = Marks(decimal=self.reading.csv.decimal or self._decimal(plain), order=self._order())
        grouped = {name for name, tally in plain.items() if self._is_grouped(tally)} - messy
        if marks.decimal == ",":
            self._count(grouped)
        elif marks.decimal is None:
            self._warn_of_points(grouped)
        chosen = {name: self._choose(name, tally, marks) for name, tally in plain.items()}
        return {
            csv.file.url: {name: self._in_file(csv, name, chosen) for name in csv.dialect.names} for csv in self.files
        }

    def _tally_plain(self, kinds: Mapping[str, str]) -> None:
        for csv in self.files:
            names = [name for name in csv.dialect.names if kinds.get(name) != CATEGORY]
            for name, texts in self._cells(csv, set(names)):
                self.plain.setdefault(name, {}).setdefault(csv.file.url, Plainness()).add(texts)

    def _count(self, names: set[str]) -> None:
        for csv in self.files:
            for name, texts in self._cells(csv, names) if names else ():
                known = self.reading.columns.get(name)
                formats = OF_KIND[known.kind] if known else GUESSED
                self.counts.setdefault(name, {}).setdefault(csv.file.url, Counts()).add(texts, name, formats)

    def _cells(self, csv: CsvFile, names: set[str]) -> Iterator[tuple[str, pa.Array]]:
        columns = [position for position, name in enumerate(csv.dialect.names) if name in names]
        words = pa.array(["", *self.reading.null_words])
        for batch in read_cells(csv.file, csv.dialect, columns, {}) if columns else ():
            for position, texts in zip(columns, batch.columns, strict=True):
                yield csv.dialect.names[position], without_nulls(texts, words).drop_null()

    def _plain_format(self, name: str, tally: Plainness) -> ColumnFormat | None:
        """Return how Arrow reads a column by itself, if it can."""
        known = self.reading.columns.get(name)
        for form in tally.fitting:
            if form == FLOAT and "," in (self.reading.csv.decimal, _decimal_of(known)):
                continue
            if known is None and form in (INTEGER, FLOAT) and tally.codes:
                return AS_TEXT
            if known is None or known.kind == form.kind:
                return ColumnFormat(form, form.type)
            if {known.kind, form.kind} == {"date", "timestamp"}:
                return ColumnFormat(form, KINDS[known.kind].plain)
        return None

    def _is_grouped(self, tally: Plainness) -> bool:
        return FLOAT in tally.fitting and INTEGER not in tally.fitting and not tally.points

    def _totals(self) -> Iterator[Counts]:
        return (reduce(add, parts.values()) for parts in self.counts.values())

    def _decimal(self, plain: Mapping[str, Plainness]) -> str | None:
        """Return the decimal mark that some column must have and no other column contradicts, None if none has to have one."""
        marks = {"." for tally in plain.values() if FLOAT in tally.fitting and tally.points}
        for counts in self._totals():
            comma, point = (_most(counts, mark)[1] for mark in (",", "."))
            if comma != point and max(comma, point) > ENOUGH * counts.cells:
                marks.add("," if comma > point else ".")
        return marks.pop() if len(marks) == 1 else None

    def _order(self) -> str | None:
        """Return whether dates have the day or the month first, by the columns that tell."""
        orders = set()
        for counts in self._totals():
            day, month = (_fitting(counts, name) for name in ORDERS)
            if day != month and max(day, month) > ENOUGH * counts.cells:
                orders.add(DAY_FIRST if day > month else MONTH_FIRST)
        return orders.pop() if len(orders) == 1 else None

    def _warn_of_points(self, names: Iterable[str]) -> None:
        """Tell of numbers such as `1.234` in files with `;`, as are written where a point stands between thousands."""
        for name in sorted(names) if all(csv.dialect.delimiter == ";" for csv in self.files) else ():
            if self.reading.columns.get(name) is None:
                log.warning(
                    "%s: column %s: read as numbers with a decimal point, but each could have a point for thousands: "
                    "then name data.csv.decimal ','",
                    *(self.files[0].file.url, name),
                )

    def _choose(self, name: str, tally: Plainness, marks: Marks) -> ColumnFormat:
        known, parts = self.reading.columns.get(name), self.counts.get(name)
        if not parts:
            return (self._plain_format(name, tally) or AS_TEXT) if tally.cells else AS_NULLS
        counts = reduce(add, parts.values())
        form, fitting = self._best(counts, marks, known)
        if fitting <= ENOUGH * counts.cells and (by_file := self._best_by_file(parts, known)):
            self.by_file[name] = by_file
            return next(iter(by_file.values()))
        if known is not None and known.required and not fitting:
            raise DataError(f"{self.files[0].file.url}: column {name}: found no {known.kind} in it, as data.types says")
        required = known is not None and known.required
        is_code = known is None and counts.codes and isinstance(form, NumberFormat)
        if form is None or is_code or not (required or fitting > ENOUGH * counts.cells):
            if form and known is None and not is_code and fitting >= MANY * counts.cells:
                self._warn_of_text(name, form, fitting, counts)
            return AS_TEXT
        self._warn_of_order(name, form, counts, marks, known)
        kind = known.kind if known else form.kind
        return ColumnFormat(form, _type(kind, counts, fitting), strays=True)

    def _best(self, counts: Counts, marks: Marks, known: Known | None) -> tuple[Format | None, int]:
        """Return the format that most cells are of; of equals the one that training learnt, or that other columns have."""
        decimal = marks.decimal
        preferred = decimal or ("," if all(csv.dialect.delimiter == ";" for csv in self.files) else ".")
        ranked = [
            (
                number,
                known is not None and form.name == known.format,
                form.decimal == preferred if isinstance(form, NumberFormat) else form.name != _other(marks.order),
                -rank,
                form,
            )
            for rank, (form, number) in enumerate(sorted(counts.formats.items(), key=lambda item: _rank(item[0])))
            if decimal is None or not isinstance(form, NumberFormat) or form.decimal == decimal
        ]
        best = max(ranked, key=lambda entry: entry[:4], default=None)
        return (best[4], best[0]) if best and best[0] else (None, 0)

    def _best_by_file(self, parts: Mapping[str, Counts], known: Known | None) -> dict[str, ColumnFormat] | None:
        """Return the formats of a column that each file writes in a way of its own, if all are of one kind."""
        undecided = Marks(decimal=self.reading.csv.decimal, order=None)
        best = {url: (*self._best(counts, undecided, known), counts) for url, counts in parts.items() if counts.cells}
        forms = {url: form for url, (form, fitting, counts) in best.items() if form and fitting > ENOUGH * counts.cells}
        total = reduce(add, parts.values())
        is_code = known is None and total.codes and any(isinstance(form, NumberFormat) for form in forms.values())
        if len(forms) < max(2, len(best)) or len({form.kind for form in forms.values()}) > 1 or is_code:
            return None
        fitting = sum(fitting for _, fitting, _ in best.values())
        kind = known.kind if known else next(iter(forms.values())).kind
        return {url: ColumnFormat(form, _type(kind, total, fitting), strays=True) for url, form in forms.items()}

    def _warn_of_text(self, name: str, form: Format, fitting: int, counts: Counts) -> None:
        log.warning(
            "%s: column %s: read as text, though %d of %d cells are a %s: if all should be, name it in data.types, or the "
            "words for nothing in data.null_words",
            *(self.files[0].file.url, name, fitting, counts.cells, form.name),
        )

    def _warn_of_order(self, name: str, form: Format, counts: Counts, marks: Marks, known: Known | None) -> None:
        """Tell of dates whose order nothing shows, or that is another than in training."""
        learnt, other = known.format if known else "", _other(form.name)
        if not isinstance(form, DateFormat) or form.name not in ORDERS:
            return
        if learnt in ORDERS and learnt != form.name:
            log.warning(
                "%s: column %s: read as %s; in training it was %s", *(self.files[0].file.url, name, form.name, learnt)
            )
        by_points = counts.formats[form] and form.name == DAY_FIRST and r"\." in form.date
        if not learnt and marks.order is None and not by_points and _fitting(counts, other) == counts.formats[form]:
            log.warning(
                "%s: column %s: read as %s; every cell could be a %s as well. Write dates as 2021-12-31 to be sure",
                *(self.files[0].file.url, name, form.name, other),
            )

    def _in_file(self, csv: CsvFile, name: str, chosen: Mapping[str, ColumnFormat]) -> ColumnFormat:
        """Return how a column is read in one file: as text where less than half of that file's cells fit."""
        column = self.by_file.get(name, {}).get(csv.file.url) or chosen.get(name, AS_TEXT)
        counts, known = self.counts.get(name, {}).get(csv.file.url), self.reading.columns.get(name)
        if counts is None or not column.strays or (known is not None and known.required):
            return column
        return AS_TEXT if counts.formats[column.format] * 2 < counts.cells else column


def _most(counts: Counts, decimal: str) -> tuple[Format | None, int]:
    numbers = [(form, count) for form, count in counts.formats.items() if getattr(form, "decimal", "") == decimal]
    return max(numbers, key=lambda item: item[1], default=(None, 0))


def _fitting(counts: Counts, name: str | None) -> int:
    """Return how many cells are of the best of the formats of one name."""
    return max((count for form, count in counts.formats.items() if form.name == name), default=0)


def _other(order: str | None) -> str | None:
    return {DAY_FIRST: MONTH_FIRST, MONTH_FIRST: DAY_FIRST}.get(order or "")


def _decimal_of(known: Known | None) -> str | None:
    """Return the decimal mark that a column had in training, where that was no point."""
    return "," if known and known.format in {form.name for form in NUMBERS if form.decimal == ","} else None


def _rank(form: Format) -> int:
    return FORMATS.index(form) if form in FORMATS else 0


def _type(kind: str, counts: Counts, fitting: int) -> pa.DataType:
    if kind == "number":
        return pa.int64() if counts.whole == fitting else pa.float64()
    if kind == "date":
        return pa.timestamp("us") if counts.clock else pa.date32()
    return KINDS[kind].plain


def infer(files: Iterable[CsvFile], reading: Reading) -> dict[str, dict[str, ColumnFormat]]:
    """Return for each file, by its URL, how each of its columns is read."""
    return Inference(list(files), reading).run()
