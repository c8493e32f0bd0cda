"""CSV files as Parquet, converted once, each cell by the format of its column."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from unbroken.csv.dialect import detect_dialect
from unbroken.csv.formats import NumberFormat
from unbroken.csv.inference import AS_TEXT, ORDERS, ColumnFormat, CsvFile, infer
from unbroken.csv.reading import Reading
from unbroken.csv.tallies import FLOAT, INTEGER
from unbroken.csv.texts import read_cells, without_nulls
from unbroken.data.parquet import Writer
from unbroken.data.sources import SourceFile, data_errors

log = logging.getLogger(__name__)

SHOWN_WORDS = 6


def as_parquet(files: Iterable[SourceFile], folder: Path, reading: Reading, prefix: str = "") -> list[SourceFile]:
    """Return files as they are if they are Parquet, else as copies in a folder.

    Args:
        files: All of one format.
        folder: Where the copies go, numbered in the order of the files.
        reading: What is known of CSV columns.
        prefix: What the copies' names begin with.

    Raises:
        DataError: A file cannot be read as CSV.
    """
    files = list(files)
    if not files or files[0].format == "parquet":
        return files
    dialects = [detect_dialect(file, reading) for file in files]
    sources = [CsvFile(file=file, dialect=dialect) for file, dialect in zip(files, dialects, strict=True)]
    formats = infer(sources, reading)
    paths = [folder / f"{prefix}{number:05d}.parquet" for number in range(len(sources))]
    digests = [
        _Conversion(source, formats[source.file.url], reading).write(path)
        for source, path in zip(sources, paths, strict=True)
    ]
    _say(sources, reading)
    return [
        SourceFile(
            url=str(path),
            partition=source.file.partition,
            origin=source.file.url,
            formats=_to_remember(formats[source.file.url]),
            digest=digest,
        )
        for source, path, digest in zip(sources, paths, digests, strict=True)
    ]


def _to_remember(columns: dict[str, ColumnFormat]) -> dict[str, str]:
    """Return how columns are written where a few cells alone could not tell it."""
    forms = {name: column.format for name, column in columns.items()}
    return {
        name: form.name
        for name, form in forms.items()
        if form.name in ORDERS or (isinstance(form, NumberFormat) and form != NumberFormat("."))
    }


@dataclass
class _Conversion:
    """One file, its columns' formats, and what was found in cells that are of none."""

    source: CsvFile
    formats: dict[str, ColumnFormat]
    reading: Reading
    strays: dict[str, int] = field(default_factory=dict)
    example: dict[str, str] = field(default_factory=dict)
    signs: dict[str, Counter[str]] = field(default_factory=dict)
    headers: int = 0
    rows: int = 0

    def write(self, path: Path) -> str:
        """Write the file as Parquet, say which cells count as missing, and return the digest of what was written."""
        names = self.source.dialect.names
        columns = [self.formats[name] for name in names]
        types = {n: column.type for n, column in enumerate(columns) if column.format in (INTEGER, FLOAT)}
        schema = pa.schema([pa.field(name, column.type) for name, column in zip(names, columns, strict=True)])
        words = {name: self._null_words(name) for name in names}
        batches = read_cells(self.source.file, self.source.dialect, range(len(names)), types, self.reading.null_words)
        with Writer(path, schema) as writer, data_errors(self.source.file.url):
            for cells in batches:
                batch = self._without_headers(cells) if not types else cells
                arrays = [
                    cell if n in types else self._values(cell, name, words[name])
                    for n, (name, cell) in enumerate(zip(names, batch.columns, strict=True))
                ]
                self.rows += batch.num_rows
                writer.write(pa.RecordBatch.from_arrays(arrays, schema=schema))
        self._say()
        return writer.dataset().digest

    def _values(self, texts: pa.Array, name: str, words: pa.Array) -> pa.Array:
        column = self.formats[name]
        texts = without_nulls(pc.utf8_trim_whitespace(texts) if self.source.dialect.padded else texts, words)
        if pa.types.is_null(column.type):
            return pa.nulls(len(texts))
        values = column.format.parse(texts)
        if isinstance(column.format, NumberFormat):
            signs = column.format.signs(texts.filter(pc.is_valid(values)))
            self.signs.setdefault(name, Counter()).update(signs.to_pylist())
        if column.strays and values.null_count > texts.null_count:
            strays = texts.filter(pc.and_(pc.is_null(values), pc.is_valid(texts)))
            self.strays[name] = self.strays.get(name, 0) + len(strays)
            self.example.setdefault(name, strays[0].as_py())
        return values.cast(column.type, safe=False)

    def _without_headers(self, cells: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows but those that repeat the header, as files that were put together have them."""
        if not self.source.dialect.skip:
            return cells
        repeated = pc.equal(pc.utf8_trim_whitespace(cells.column(0)), self.source.dialect.names[0].strip())
        for name, column in zip(self.source.dialect.names[1:], cells.columns[1:], strict=True):
            if not pc.any(repeated).as_py():
                return cells
            repeated = pc.and_(repeated, pc.equal(pc.utf8_trim_whitespace(column), name.strip()))
        self.headers += pc.sum(repeated).as_py() or 0
        return cells.filter(pc.invert(repeated))

    def _null_words(self, name: str) -> pa.Array:
        known = self.reading.columns.get(name)
        if known is not None and known.values is None:
            return pa.array([""])
        values = set(known.values or ()) if known else set()
        return pa.array([word for word in ("", *self.reading.null_words) if word not in values], pa.string())

    def _say(self) -> None:
        path = self.source.file.url
        if self.headers:
            log.warning("%s: left out %d rows that repeat the header", path, self.headers)
        for name, count in self.strays.items():
            log.warning(
                "%s: column %s: read as %s; %d of %d cells are something else, e.g. %r, and count as missing (data.types)",
                *(path, name, self.formats[name].format.name, count, self.rows, self.example[name]),
            )
        for name, signs in self.signs.items():
            if len([sign for sign in signs if sign]) > 1 or ("%" in signs and len(signs) > 1):
                counts = ", ".join(f"{count} with {sign or 'none'}" for sign, count in signs.most_common())
                log.warning(
                    "%s: column %s: its numbers have different signs: %s. Each is read by itself, a percentage as a part "
                    "of 1: write all in one way if they are of one kind",
                    *(path, name, counts),
                )
        for name, column in self.formats.items():
            if column.format not in (INTEGER, FLOAT, AS_TEXT.format) and name not in self.strays and column.strays:
                log.info("%s: column %s: read as %s", path, name, column.format.name)


def _say(sources: list[CsvFile], reading: Reading) -> None:
    for doubt, urls in _by([(doubt, source.file.url) for source in sources for doubt in source.dialect.doubts]):
        log.warning("%s: %s", urls, doubt)
    for dialect, urls in _by([(str(source.dialect), source.file.url) for source in sources]):
        log.info("%s: read as %s", urls, dialect)
    words = ", ".join(reading.null_words[:SHOWN_WORDS])
    more = ", ..." if len(reading.null_words) > SHOWN_WORDS else ""
    log.info("missing values: empty cells%s (data.null_words)", f" and {words}{more}" if words else "")


def _by(pairs: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield each first of some pairs of text and URL, and the URLs that it came with, shortened."""
    for text in dict.fromkeys(text for text, _ in pairs):
        urls = [url for other, url in pairs if other == text]
        yield text, f"{urls[0]} and {len(urls) - 1} more" if len(urls) > 1 else urls[0]
