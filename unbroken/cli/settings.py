"""Settings on the command line: a dataclass as grouped arguments, a TOML file, and the file of the project."""

import itertools
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import ArgumentParser, Namespace

from unbroken.errors import ConfigError

Settings = TypeVar("Settings")
PROJECT_FILES = {"train": "run.toml", "sweep": "run.toml", "retrain": "retrain.toml", "predict": "predict.toml"}


def flow_file(command: str) -> Path:
    """Return where a project in the present folder keeps the flow of a command."""
    return Path("flows", f"{command}.py")


def project_file(command: str | None) -> str | None:
    """Return the settings that the project in the present folder has for a command; None without a project or a file."""
    name = PROJECT_FILES.get(command or "")
    return name if name and flow_file(command or "").is_file() and Path(name).is_file() else None


def project_settings(command: str) -> dict[str, Any]:
    """Return the settings that the project in the present folder has for a command, in their groups; none without a project."""
    file = project_file(command)
    return tomllib.loads(Path(file).read_text("utf-8")) if file else {}


def add_settings(parser: ArgumentParser, settings: type, command: str) -> None:
    """Add a dataclass's fields as arguments, a group for each dataclass inside it, and `--config` for a TOML file of them.

    Args:
        parser: The parser of a subcommand.
        settings: A dataclass whose fields have defaults.
        command: Its name, by which a project has a file of settings for it; what is typed wins.
    """
    if file := project_file(command):
        parser.default_config_files = [file]
    parser.add_argument("--config", action="config", help="TOML file with any of these settings, one table a group.")
    parser.add_class_arguments(settings, fail_untyped=True)


def settings_of(namespace: Namespace, settings: type[Settings]) -> Settings:
    """Return the settings among a subcommand's arguments."""
    names: dict[str, Any] = vars(settings)["__dataclass_fields__"]
    return settings(**{name: namespace[name] for name in names})


def settings_files(arguments: list[str], command: str | None) -> list[str]:
    """Return the files named by --config, and that of the project; raise ConfigError naming one that is no TOML."""
    pairs = itertools.pairwise([*arguments, ""])
    named = [after if here == "--config" else here[9:] for here, after in pairs if f"{here}=".startswith("--config=")]
    files = [path for path in named if path]
    for path in files:
        require_toml(f"--config {path}", path)
    if file := project_file(command):
        require_toml(file, file)
        files.append(file)
    return files


def require_toml(subject: str, path: str) -> None:
    """Raise ConfigError with the parser's words unless a file can be read as TOML."""
    try:
        tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{subject}: cannot be read as TOML: {error}") from error
