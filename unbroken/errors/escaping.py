"""Text that came from outside, made safe to show: control characters as their escapes, so that they are seen and do nothing.

One function for each medium: here those that a terminal and a log need; `reports/markdown.py` has those of Markdown.
"""

import logging
import re

CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0 and C1: line breaks, tabs, and ESC, with which a terminal is commanded
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
    "\ud800-\udfff]"  # what is left of bytes in a file name that are no text
)
"""Characters that command a terminal, break a line, turn the order of letters round, or are not seen at all."""

LONGEST = 3000
SHOWN_OF_A_WORD = 120
LONG_WORD = re.compile(r"\S{400,}")


def escape_controls(text: str, keep: str = "") -> str:
    """Return a text with its control characters and bidi marks as escapes; escaping twice changes nothing.

    Args:
        text: From a column, a file name, a setting, or anywhere else.
        keep: Characters that stay, such as line breaks in what is meant to have several lines.
    """
    return CONTROLS.sub(lambda match: match[0] if match[0] in keep else _escape(match[0]), text)


def shorten(text: str) -> str:
    """Return a text of which a person reads all: long words, as names from outside can be, and a long middle are cut out.

    Its beginning, which names the subject, and its end, which names the way out, stay.
    """
    text = LONG_WORD.sub(lambda match: _cut(match[0], SHOWN_OF_A_WORD, SHOWN_OF_A_WORD // 2), text)
    return text if len(text) <= LONGEST else _cut(text, LONGEST * 2 // 3, LONGEST // 3)


def _cut(text: str, first: int, last: int) -> str:
    return f"{text[:first]}...[{len(text) - first - last:,} letters]...{text[-last:]}"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class EscapeRecords(logging.Handler):
    """Escapes each record of the library before the handlers that show it, as one line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Put the escaped and shortened text into the record, which the next handlers get."""
        record.msg, record.args = shorten(escape_controls(record.getMessage())), None
        if record.exc_info:
            record.exc_text = escape_controls(logging.Formatter().formatException(record.exc_info), keep="\n\t")


def escape_log() -> None:
    """Escape the library's log wherever it is shown from here on: at the terminal, in Prefect's UI."""
    library = logging.getLogger("unbroken")
    if not any(isinstance(handler, EscapeRecords) for handler in library.handlers):
        library.addHandler(EscapeRecords())
