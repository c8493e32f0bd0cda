"""How a CSV file is written: its encoding, its delimiter, and where its columns are named."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from unbroken.csv.layout import Records, find_layout, usual_width
from unbroken.csv.opening import Limited, open_text
from unbroken.csv.reading import Reading
from unbroken.data.footers import require_width
from unbroken.data.sources import SourceFile, data_errors
from unbroken.errors import DataError

CHUNK_BYTES = 1 << 20
LONGEST_LINE = 1 << 25
SAMPLE_RECORDS = 200
BELOW_A_TITLE = 0.9
"""What a delimiter counts by which a file has its columns below a first line without it, as a title is."""
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
DELIMITER_LINE = re.compile(r'"?sep=([^\r\n"])"?\r?\n')
"""The first line by which Excel is told the delimiter."""
BEYOND_ASCII = re.compile(r"[^\x00-\x7f\ufffd]")
LINE_BREAK = re.compile(r"[\r\n]")
REPLACED = "\ufffd"
GUESSES = ("cp1252", "latin-1")
NAMES = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "utf-16": "UTF-16", "cp1252": "Windows-1252", "latin-1": "Latin-1"}


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How one file is written.

    Attributes:
        encoding: A codec.
        delimiter: What stands between two fields.
        names: The columns.
        above: The lines above the header, or above the first row where there is none.
        skip: The records between these and the first row: none, or the header.
        is_empty: Whether the file ends with the header's last letter.
        max_expansion: How many times its own size it may unpack to.
        padded: Whether a space follows each delimiter, which belongs to no field.
        doubts: What a person should look at.
    """

    encoding: str
    delimiter: str
    names: tuple[str, ...]
    skip: int
    above: int = 0
    is_empty: bool = False
    max_expansion: int = 100
    padded: bool = False
    doubts: tuple[str, ...] = ()

    def __str__(self) -> str:
        delimiter = "tab" if self.delimiter == "\t" else f"`{self.delimiter}`"
        line = f"line {self.above + 1}" if self.above else "the first line"
        header = f"names in {line}" if self.skip else f"no header, so {self.names[0]} .. {self.names[-1]}"
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
    line = DELIMITER_LINE.match(text)
    text = text[line.end() :] if line else text
    delimiter = config.delimiter or (line[1] if line else detect_delimiter(text))
    records = _records(text, delimiter)
    if not any(records):
        raise DataError(f"{file.url}: cannot be read: found no row of text; is it a CSV file?")
    layout = find_layout(records, config.header)
    require_width(file.url, len(layout.names), reading.max_columns)
    guessed = encoding in GUESSES and encoding not in (config.encoding, reading.fallback_encoding)
    doubts = (
        [f"no UTF-8, so read as {NAMES[encoding]}; if letters look wrong, name data.csv.encoding"] if guessed else []
    )
    return Dialect(
        encoding=encoding,
        delimiter=delimiter,
        names=layout.names,
        skip=int(layout.header),
        above=bool(line) + _lines_of(text, delimiter, layout.above),
        is_empty=layout.header and not is_cut and not LINE_BREAK.search(text.strip()),
        max_expansion=reading.max_expansion,
        padded=layout.padded,
        doubts=(*doubts, *layout.doubts),
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
    records = _records(text, delimiter)
    widths = [len(record) for record in records if record]
    width, share = usual_width(records)
    if widths and widths[0] > 1:
        return sum(length == widths[0] for length in widths) / len(widths)
    if width > 1:
        return share * BELOW_A_TITLE
    return 0.5 if delimiter == "," else 0.0


def _records(text: str, delimiter: str) -> Records:
    """Return the first records of a text; the last is left out where it may be cut."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    records = list(_first(reader, SAMPLE_RECORDS + 1))
    cut = len(records) > SAMPLE_RECORDS or (len(records) > 1 and not text.endswith(("\n", "\r")))
    return records[:SAMPLE_RECORDS] if not cut else records[:-1]


def _lines_of(text: str, delimiter: str, records: int) -> int:
    """Return how many lines so many first records take."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    list(_first(reader, records))
    return reader.line_num


def _first(reader: Iterator[list[str]], most: int) -> Iterator[list[str]]:
    try:
        for _ in range(most):
            yield next(reader)
    except (csv.Error, StopIteration):
        return
