"""What a person at a terminal sees: the console, the library's log, and errors in one paragraph."""

import logging
import re
import signal
import sys
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


def show_log(console: Console) -> None:
    """Show the library's log on a console."""
    escape_log()
    library = logging.getLogger("unbroken")
    library.addHandler(
        RichHandler(console=console, show_time=False, show_level=False, show_path=False, highlighter=NullHighlighter())
    )
    library.setLevel(logging.INFO)


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
    if match := WRONG_TYPE.fullmatch(words):
        expected = match["type"].removeprefix("<class '").removesuffix("'>").removeprefix("typing.")
        return f"{match['field']}: found {match['value']!r}, expected {expected}"
    if match := UNKNOWN_OPTION.fullmatch(words):
        return f"Group {match['group']!r} does not accept option {match['option']!r}"
    return words


def _in_words(error: OSError) -> str:
    subject = f"{error.filename}: " if error.filename else ""
    return f"{subject}{error.strerror or error}. What is saved stays: when that is mended, the same command goes on from there"
