"""What a person at a terminal sees: the console, the library's log, and errors in one paragraph."""

import logging
import re
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler
from rich.text import Text

from unbroken.config.credentials import mask_urls
from unbroken.errors.escaping import escape_controls, escape_log

FINE, FAULTY, USER_ERROR = 0, 1, 2
INTERRUPTED = 128 + signal.SIGINT
NARROWEST = 110
UNKNOWN_OPTION = re.compile(r"Subcommand .* does not accept option '(?P<group>.+)\.(?P<option>[^.]+)'")
WRONG_TYPE = re.compile(r'Parser key "(?P<field>.+?)": Expected an? (?P<type>.+?)\. Got value: (?P<value>.*)')
NONE_OF_TYPES = re.compile(
    r'Parser key "(?P<field>.+?)": Does not validate against any of the Union subtypes '
    r"Subtypes: \[(?P<type>.+?)\] Errors: .* Given value: (?P<value>.*)"
)
TYPE_WORDS = (("<class '", ""), ("'>", ""), ("typing.", ""), ("NoneType", "null"), ("Literal['auto']", "'auto'"))
"""What Python says of a type, and what a user reads."""


def make_console(width: int = NARROWEST) -> Console:
    """Return a console on standard output, of a fixed width where that is no terminal."""
    return PlainConsole(width=None if sys.stdout.isatty() else width, markup=False, emoji=False)


class PlainConsole(Console):
    """A console on which a string is text, and no command to the terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string, as a cell of a table is one, with its control characters as escapes."""
        return super().render_str(escape_controls(text, keep="\n"), **options)


def as_text(*lines: str) -> Text:
    """Return lines as text for a console; a line break inside one of them is shown as an escape."""
    return Text("\n".join(map(escape_controls, lines)))


@contextmanager
def shown_log(console: Console) -> Generator[None]:
    """Show the library's log on a console while the block runs."""
    escape_log()
    library = logging.getLogger("unbroken")
    handler = RichHandler(
        console=console, show_time=False, show_level=False, show_path=False, highlighter=NullHighlighter()
    )
    level = library.level
    library.addHandler(handler)
    library.setLevel(logging.INFO)
    try:
        yield
    finally:
        library.removeHandler(handler)
        library.setLevel(level)


@contextmanager
def warnings_alone() -> Generator[None]:
    """Show of the library's log only warnings while the block runs."""
    library = logging.getLogger("unbroken")
    level = library.level
    library.setLevel(logging.WARNING)
    try:
        yield
    finally:
        library.setLevel(level)


def report(error: BaseException) -> int:
    """Print what a user can mend or meet in one paragraph on standard error, and return the exit code."""
    if isinstance(error, KeyboardInterrupt):
        Console(stderr=True).print("stopped; run the same command again to go on")
        return INTERRUPTED
    words = _in_words(error) if isinstance(error, OSError) else str(error)
    Console(stderr=True).print(Text(f"error: {escape_controls(mask_urls(words))}", style="red"), soft_wrap=True)
    return USER_ERROR


def one_line(complaint: str) -> str:
    """Return a parser's complaint in our own order: the field, what was found, what was expected."""
    words = " ".join(complaint.split()).rstrip(".")
    if match := WRONG_TYPE.fullmatch(words) or NONE_OF_TYPES.fullmatch(words):
        return f"{match['field']}: found {match['value']!r}, expected {_type_words(match['type'])}"
    if match := UNKNOWN_OPTION.fullmatch(words):
        return f"Group {match['group']!r} does not accept option {match['option']!r}"
    return words


def _type_words(types: str) -> str:
    for python, words in TYPE_WORDS:
        types = types.replace(python, words)
    return re.sub(r", (?![^\[]*\])", " or ", types)


def _in_words(error: OSError) -> str:
    subject = f"{error.filename}: " if error.filename else ""
    return f"{subject}{error.strerror or error}. What is saved stays: when that is mended, the same command goes on from there"
