"""How a CSV file is written: its encoding, its delimiter, and whether its first line names the columns."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from unbroken.csv.formats import looks_typed
from unbroken.csv.opening import Limited, open_text
from unbroken.csv.reading import Reading
from unbroken.data.footers import require_width
from unbroken.data.sources import SourceFile, data_errors
from unbroken.errors import DataError

CHUNK_BYTES = 1 << 20
LONGEST_LINE = 1 << 25
SAMPLE_RECORDS = 200
DELIMITERS = ("\t", ";", "|", ",")
"""From the rarest inside a field to the most frequent: of those that fit equally well, the first is meant."""
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
"""What Windows-1252 has no character for, and Latin-1 has."""
BEYOND_ASCII = re.compile(r"[^\x00-\x7f\ufffd]")
LINE_BREAK = re.compile(r"[\r\n]")
REPLACED = "\ufffd"
NAMES = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "utf-16": "UTF-16", "cp1252": "Windows-1252", "latin-1": "Latin-1"}


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How one file is written.

    Attributes:
        encoding: A codec.
        delimiter: What stands between two fields.
        names: The columns.
        skip: The records before the first row: none, or the header and what is above it.
        is_empty: Whether the file ends with the header's last letter.
        max_expansion: How many times its own size it may unpack to.
    """

    encoding: str
    delimiter: str
    names: tuple[str, ...]
    skip: int
    is_empty: bool = False
    max_expansion: int = 100

    def __str__(self) -> str:
        delimiter = "tab" if self.delimiter == "\t" else f"`{self.delimiter}`"
        header = "names in the first line" if self.skip else f"no header, so {self.names[0]} .. {self.names[-1]}"
        return f"{NAMES.get(self.encoding, self.encoding)}, delimiter {delimiter}, {header}"


def detect_dialect(file: SourceFile, reading: Reading) -> Dialect:
    """Return how a file is written; what the settings name is not guessed.

    Raises:
        DataError: The file is empty, is no text, is UTF-8 with damaged characters, or has too many columns.
    """
    config = reading.csv
    with data_errors(file.url):
        encoding = config.encoding or detect_encoding(file, reading)
        with open_text(file, reading.max_expansion) as stream:
            head = _head(stream)
            is_cut = bool(stream.read(1))
        text = _decoded(head, encoding, file.url)
    if not text.strip():
        raise DataError(f"{file.url}: cannot be read: found an empty CSV file, expected a header and rows")
    delimiter = config.delimiter or detect_delimiter(text)
    records = _records(text, delimiter)
    blank = next((row for row, record in enumerate(records) if record), 0)
    rows = [record for record in records if record]
    if not rows:
        raise DataError(f"{file.url}: cannot be read: found no row of text; is it a CSV file?")
    header = has_header(rows) if config.header is None else config.header
    require_width(file.url, len(rows[0]), reading.max_columns)
    names = tuple(rows[0]) if header else tuple(f"column_{number}" for number in range(1, len(rows[0]) + 1))
    return Dialect(
        encoding=encoding,
        delimiter=delimiter,
        names=names,
        skip=blank + 1 if header else 0,
        is_empty=header and not is_cut and not LINE_BREAK.search(text.strip()),
        max_expansion=reading.max_expansion,
    )


def _head(stream: Limited) -> bytes:
    """Return the first bytes of a file, with the whole first line."""
    head = stream.read(CHUNK_BYTES)
    while b"\n" not in head and len(head) < LONGEST_LINE and (chunk := stream.read(CHUNK_BYTES)):
        head += chunk
    return head


def detect_encoding(file: SourceFile, reading: Reading) -> str:
    """Return the encoding of a whole file: that of its byte order mark, else UTF-8 if all of it is, else Windows-1252."""
    with open_text(file, reading.max_expansion) as stream:
        head = stream.read(CHUNK_BYTES)
        for mark, encoding in BYTE_ORDER_MARKS:
            if head.startswith(mark):
                return encoding
        if b"\0" in head:
            return _wide_encoding(head, file.url)
        decoder, position, chunk = codecs.getincrementaldecoder("utf-8")(), 0, head
        try:
            while chunk:
                decoder.decode(chunk)
                position += len(chunk)
                chunk = stream.read(CHUNK_BYTES)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            return reading.fallback_encoding or _narrow_encoding(chunk, f"{file.url}: byte {position + error.start}")
    return "utf-8"


def _wide_encoding(head: bytes, path: str) -> str:
    """Return which UTF-16 a text without a mark is: of western letters, every other byte is zero."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if min(even, odd) * 10 > max(even, odd) or max(even, odd) * 4 < len(head) // 2:
        raise DataError(f"{path}: cannot be read: found zero bytes, expected text; is it a CSV file?")
    return "utf-16-be" if even > odd else "utf-16-le"


def _narrow_encoding(chunk: bytes, subject: str) -> str:
    text = chunk.decode("utf-8", errors="replace")
    if len(BEYOND_ASCII.findall(text)) > text.count(REPLACED):
        raise DataError(
            f"{subject}: cannot be read: not UTF-8, though other characters of the file are. "
            f"Mend it, or name data.csv.encoding"
        )
    return "latin-1" if UNDEFINED.search(chunk) else "cp1252"


def _decoded(head: bytes, encoding: str, path: str) -> str:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: cannot be read as {encoding}: {error.reason} at byte {error.start}. Name data.csv.encoding"
        ) from error


def detect_delimiter(text: str) -> str:
    """Return the delimiter by which the most of the first records have as many fields as the first; a comma if none does."""
    return max(DELIMITERS, key=lambda delimiter: _regularity(text, delimiter)) if text else ","


def _regularity(text: str, delimiter: str) -> float:
    widths = [len(record) for record in _records(text, delimiter) if record]
    if not widths or widths[0] < 2:
        return 0.5 if delimiter == "," else 0.0
    return sum(width == widths[0] for width in widths) / len(widths)


def _records(text: str, delimiter: str) -> list[list[str]]:
    """Return the first records of a text; the last is left out where it may be cut."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    records = list(_first(reader, SAMPLE_RECORDS + 1))
    cut = len(records) > SAMPLE_RECORDS or (len(records) > 1 and not text.endswith(("\n", "\r")))
    return records[:SAMPLE_RECORDS] if not cut else records[:-1]


def _first(reader: Iterator[list[str]], most: int) -> Iterator[list[str]]:
    try:
        for _ in range(most):
            yield next(reader)
    except (csv.Error, StopIteration):
        return


def has_header(rows: list[list[str]]) -> bool:
    """Tell whether the first row names the columns: it does unless it holds numbers or dates beside words that come again."""
    first, below = rows[0], rows[1:]
    if [name.strip() for name in first] == [str(number) for number in range(len(first))]:
        return True  # how a table without names is written by pandas
    typed = looks_typed(pa.array(first, pa.string())).to_pylist()
    if not below or not any(typed) or any(not name.strip() for name in first):
        return True
    words = [column for column, is_typed in enumerate(typed) if not is_typed]
    again = [column for column in words if any(len(row) > column and row[column] == first[column] for row in below)]
    return len(again) * 2 < len(words) or (len(again) == 0 and bool(words))
