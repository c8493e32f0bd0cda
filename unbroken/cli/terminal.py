"""The front door of every flow for a person at a terminal: arguments, result, and errors in one paragraph.

Prefect and torch, which take seconds to import, are not needed for what goes wrong here.
"""

import importlib
import itertools
import logging
import re
import signal
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings
from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler
from rich.text import Text

from unbroken.errors import ConfigError, UnbrokenError
from unbroken.orchestration.garbage import lasting, leave_to_the_kernel_at_exit

Settings = TypeVar("Settings")
USER_ERROR = 2
INTERRUPTED = 128 + signal.SIGINT
NARROWEST = 110
WRONG_TYPE = re.compile(r'Parser key "(?P<field>.+?)": Expected an? (?P<type>.+?)\. Got value: (?P<value>.*)')


def main(name: str, description: str, settings: type[Settings], show: Callable[[Settings, Console], None]) -> None:
    """Run a flow with the settings of the command line and exit: 0 done, 2 the user can mend it, 130 stopped by Ctrl-C.

    `show` is given the settings and the console, runs the flow and prints.
    """
    leave_to_the_kernel_at_exit()
    console = Console(width=None if sys.stdout.isatty() else NARROWEST)
    _log_to(console)
    try:
        show(parse(sys.argv[1:], name, description, settings), console)
    except UnbrokenError as error:
        Console(stderr=True).print(Text(f"error: {error}", style="red"), soft_wrap=True)
        sys.exit(USER_ERROR)
    except OSError as error:
        Console(stderr=True).print(Text(f"error: {_in_words(error)}", style="red"), soft_wrap=True)
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; run the same command again to go on")
        sys.exit(INTERRUPTED)


def _in_words(error: OSError) -> str:
    subject = f"{error.filename}: " if error.filename else ""
    return f"{subject}{error.strerror or error}. What is saved stays: when that is mended, the same command goes on from there"


def _log_to(console: Console) -> None:
    """Show the library's log here."""
    library = logging.getLogger("unbroken")
    library.addHandler(
        RichHandler(console=console, show_time=False, show_level=False, show_path=False, highlighter=NullHighlighter())
    )
    library.setLevel(logging.INFO)


def parse(arguments: list[str], name: str, description: str, settings: type[Settings]) -> Settings:
    """Return the settings that the command line arguments of a flow give; raise ConfigError naming the wrong one."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(
        prog=f"python -m flows.{name}",
        description=description,
        parser_mode="toml",
        allow_abbrev=False,
        exit_on_error=False,
    )
    parser.add_argument("--config", action="config", help="TOML file with any of these settings, one table a group.")
    parser.add_class_arguments(settings, fail_untyped=True)
    files = _settings_files(arguments)
    try:
        given = parser.instantiate(parser.parse_args(arguments))
    except ArgumentError as error:
        where = f" (on the command line or in {', '.join(files)})" if files else ""
        raise ConfigError(f"{_one_line(str(error))}{where}. See --help") from None
    return settings(**{name: value for name, value in vars(given).items() if name != "config"})


def _settings_files(arguments: list[str]) -> list[str]:
    """Return the files named by --config; raise ConfigError naming one that is no TOML."""
    pairs = itertools.pairwise([*arguments, ""])
    named = [after if here == "--config" else here[9:] for here, after in pairs if f"{here}=".startswith("--config=")]
    files = [path for path in named if path]
    for path in files:
        try:
            tomllib.loads(Path(path).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"--config {path}: cannot be read as TOML: {error}") from error
    return files


def _one_line(complaint: str) -> str:
    """Return a parser's complaint in our own order: the field, what was found, what was expected."""
    words = " ".join(complaint.split())
    if found := WRONG_TYPE.fullmatch(words):
        expected = found["type"].removeprefix("<class '").removesuffix("'>").removeprefix("typing.")
        return f"{found['field']}: found {found['value']!r}, expected {expected}"
    return words


def import_flow(name: str) -> Callable[[Any], Any]:
    """Return the flow of that name, in the module of that name, with a server that answers it."""
    with lasting():
        from unbroken.orchestration.server import server_beside_imports  # noqa: PLC0415 (Prefect)

        with server_beside_imports():
            return getattr(importlib.import_module(f"flows.{name}"), name)


def result_of(flow: str) -> Callable[[Any, Console], None]:
    """Return what runs a flow and prints its result."""

    def show(settings: Any, console: Console) -> None:
        console.print(Text(str(import_flow(flow)(settings))), soft_wrap=True)

    return show
