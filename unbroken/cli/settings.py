"""Settings on the command line: a dataclass as grouped arguments, a TOML file, and the file of the project."""

import itertools
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import ArgumentParser, Namespace

from unbroken.errors import ConfigError

Settings = TypeVar("Settings")


def add_settings(parser: ArgumentParser, settings: type, project_file: str | None = None) -> None:
    """Add a dataclass's fields as arguments, a group for each dataclass inside it, and `--config` for a TOML file of them.

    Args:
        parser: The parser of a subcommand.
        settings: A dataclass whose fields have defaults.
        project_file: A TOML file of the present folder that is read where it exists; what is typed wins.
    """
    if project_file is not None and Path(project_file).is_file():
        parser.default_config_files = [project_file]
    parser.add_argument("--config", action="config", help="TOML file with any of these settings, one table a group.")
    parser.add_class_arguments(settings, fail_untyped=True)


def settings_of(namespace: Namespace, settings: type[Settings]) -> Settings:
    """Return the settings among a subcommand's arguments."""
    names: dict[str, Any] = vars(settings)["__dataclass_fields__"]
    return settings(**{name: namespace[name] for name in names})


def settings_files(arguments: list[str]) -> list[str]:
    """Return the files named by --config; raise ConfigError naming one that is no TOML."""
    pairs = itertools.pairwise([*arguments, ""])
    named = [after if here == "--config" else here[9:] for here, after in pairs if f"{here}=".startswith("--config=")]
    files = [path for path in named if path]
    for path in files:
        require_toml(f"--config {path}", path)
    return files


def require_toml(subject: str, path: str) -> None:
    """Raise ConfigError with the parser's words unless a file can be read as TOML."""
    try:
        tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{subject}: cannot be read as TOML: {error}") from error
