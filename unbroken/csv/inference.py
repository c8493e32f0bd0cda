"""What the columns of CSV files are, over all rows of all files: one pass, and one more over columns that are not plain."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add, and_

import pyarrow as pa

from unbroken.csv.dialect import Dialect
from unbroken.csv.formats import BOOLEAN, DATES, DURATION, NUMBERS, TIME, WORDS, Format, NumberFormat
from unbroken.csv.reading import Reading
from unbroken.csv.tallies import FLOAT, INTEGER, Counts, Plainness
from unbroken.csv.texts import read_cells, without_nulls
from unbroken.data.kinds import CATEGORY, KINDS
from unbroken.data.sources import SourceFile
from unbroken.errors import DataError

ENOUGH = 0.95
"""A column is of a format where more than this share of its cells are."""
FORMATS: tuple[Format, ...] = (*NUMBERS, *DATES, BOOLEAN, TIME, DURATION)
OF_KIND: dict[str, tuple[Format, ...]] = {
    "number": NUMBERS,
    "boolean": (WORDS,),
    "date": DATES,
    "timestamp": DATES,
    "time": (TIME,),
    "duration": (DURATION,),
}
"""The formats that a column of a known kind may have."""


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


@dataclass
class Inference:
    """Tallies by column name and file, and what follows of them."""

    files: list[CsvFile]
    reading: Reading
    plain: dict[str, dict[str, Plainness]] = field(default_factory=dict)
    counts: dict[str, dict[str, Counts]] = field(default_factory=dict)

    def run(self) -> dict[str, dict[str, ColumnFormat]]:
        """Return for each file how each of its columns is read; raise DataError if a setting fits no cell."""
        kinds = {name: known.kind for name, known in self.reading.columns.items()}
        self._tally_plain(kinds)
        plain = {name: reduce(and_, parts.values()) for name, parts in self.plain.items()}
        messy = {name for name, tally in plain.items() if tally.cells and not self._plain_format(name, tally)}
        self._count(messy)
        decimal = self.reading.csv.decimal or self._decimal(plain)
        if decimal == ",":
            self._count({name for name, tally in plain.items() if self._is_grouped(tally)} - messy)
        chosen = {name: self._choose(name, tally, decimal) for name, tally in plain.items()}
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
                formats = OF_KIND[known.kind] if known else FORMATS
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
            if form == FLOAT and self.reading.csv.decimal == ",":
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

    def _decimal(self, plain: Mapping[str, Plainness]) -> str | None:
        """Return the decimal mark that some column must have and no other column contradicts, None if none has to have one."""
        marks = {"." for tally in plain.values() if FLOAT in tally.fitting and tally.points}
        for parts in self.counts.values():
            counts = reduce(add, parts.values())
            comma, point = (_most(counts, mark)[1] for mark in (",", "."))
            if comma != point and max(comma, point) > ENOUGH * counts.cells:
                marks.add("," if comma > point else ".")
        return marks.pop() if len(marks) == 1 else None

    def _choose(self, name: str, tally: Plainness, decimal: str | None) -> ColumnFormat:
        known, parts = self.reading.columns.get(name), self.counts.get(name)
        if not parts:
            return (self._plain_format(name, tally) or AS_TEXT) if tally.cells else AS_NULLS
        counts = reduce(add, parts.values())
        form, fitting = self._best(counts, decimal)
        if known is not None and known.required and not fitting:
            raise DataError(f"{self.files[0].file.url}: column {name}: found no {known.kind} in it, as data.types says")
        required = known is not None and known.required
        is_code = known is None and counts.codes and isinstance(form, NumberFormat)
        if form is None or is_code or not (required or fitting > ENOUGH * counts.cells):
            return AS_TEXT
        kind = known.kind if known else form.kind
        return ColumnFormat(form, _type(kind, counts, fitting), strays=True)

    def _best(self, counts: Counts, decimal: str | None) -> tuple[Format | None, int]:
        preferred = decimal or ("," if all(csv.dialect.delimiter == ";" for csv in self.files) else ".")
        ranked = [
            (number, not isinstance(form, NumberFormat) or form.decimal == preferred, -rank, form)
            for rank, (form, number) in enumerate(sorted(counts.formats.items(), key=lambda item: _rank(item[0])))
            if decimal is None or not isinstance(form, NumberFormat) or form.decimal == decimal
        ]
        best = max(ranked, key=lambda entry: entry[:3], default=None)
        return (best[3], best[0]) if best and best[0] else (None, 0)

    def _in_file(self, csv: CsvFile, name: str, chosen: Mapping[str, ColumnFormat]) -> ColumnFormat:
        """Return how a column is read in one file: as text where less than half of that file's cells fit."""
        column = chosen.get(name, AS_TEXT)
        counts, known = self.counts.get(name, {}).get(csv.file.url), self.reading.columns.get(name)
        if counts is None or not column.strays or (known is not None and known.required):
            return column
        return AS_TEXT if counts.formats[column.format] * 2 < counts.cells else column


def _most(counts: Counts, decimal: str) -> tuple[Format | None, int]:
    numbers = [(form, count) for form, count in counts.formats.items() if getattr(form, "decimal", "") == decimal]
    return max(numbers, key=lambda item: item[1], default=(None, 0))


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
