"""The command `unbroken`.

Prefect and torch, which take seconds to import, are not needed for help and for a user's mistakes.
"""

import importlib
import sys
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentError, ArgumentParser, Namespace, set_parsing_settings

import unbroken
from unbroken.cli.settings import settings_files
from unbroken.cli.terminal import make_console, one_line, report
from unbroken.code.imports import import_from
from unbroken.errors import ConfigError, UnbrokenError
from unbroken.orchestration.garbage import freeze_at_exit

COMMANDS = {
    "train": (
        "train",
        "train, evaluate and publish a model; after any end, the same command goes on from where it was",
    ),
    "sweep": (
        "runs.sweep",
        "search for better settings by many trainings; after any end, the same command goes on from where it was",
    ),
    "retrain": ("flow", "train a challenger on new rows, and promote it if it is truly better"),
    "predict": ("flow", "score rows with a model"),
    "export": ("export", "write a model in a format of others: ONNX, torch.export, safetensors"),
    "runs": ("runs.command", "list, verify and compare what runs saved"),
    "registry": ("registry", "the versions of a model: history, promote, rollback"),
    "track": ("tracking", "tell an MLflow server which version is the champion"),
    "serve": (
        "services",
        "start Prefect's server, a worker, the healing and the deployments of the project in this folder",
    ),
    "stop": ("services", "end what `serve` started; runs in training save, and go on with the next `serve`"),
    "apply": ("services", "create what is missing of work pool and deployments, and show what differs"),
    "heal": (
        "services",
        "start runs again whose processes are gone, on the server of the Prefect profile, until stopped",
    ),
    "init": ("project", "write a project of your own into a new folder"),
    "demo": ("demo", "kill a training, resume it, and compare its bytes with those of one that was left alone"),
}
"""By command: the module of this room that has its `add_arguments` and its `run`, and its help."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command line and exit: 0 fine, 1 what was looked at is faulty, 2 the user can mend it, 130 stopped by Ctrl-C."""
    freeze_at_exit()
    import_from(Path.cwd())
    sys.exit(answer(sys.argv[1:] if arguments is None else arguments))


def answer(arguments: list[str]) -> int:
    """Run a command line, its errors in one paragraph each, and return the exit code."""
    try:
        namespace = parse(arguments)
        return _module(namespace.command).run(namespace.command, namespace[namespace.command], make_console())
    except (UnbrokenError, OSError, KeyboardInterrupt) as error:
        return report(error)


def parse(arguments: list[str]) -> Namespace:
    """Return the command of a command line and its arguments; raise ConfigError naming the one that is wrong."""
    command = arguments[0] if arguments and arguments[0] in COMMANDS else None
    parser = build_parser([command] if command else list(COMMANDS))
    files = settings_files(arguments, command)
    try:
        return parser.instantiate(parser.parse_args(arguments))
    except ArgumentError as error:
        origin = f" (on the command line or in {', '.join(files)})" if files else ""
        help = f"unbroken {command} --help" if command else "unbroken --help"
        raise ConfigError(f"{one_line(str(error))}{origin}. See {help}") from None


def build_parser(commands: list[str]) -> ArgumentParser:
    """Return the parser of all commands, with the arguments of some: those of `retrain` alone take a tenth of a second."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True, add_print_completion_argument=True)
    parser = _parser("unbroken", unbroken.__doc__ or "")
    parser.add_argument("--version", action="version", version=f"unbroken {unbroken.__version__}")
    subcommands = parser.add_subcommands(dest="command", required=True)
    for command, (_, text) in COMMANDS.items():
        subparser = _parser(f"unbroken {command}", text)
        subcommands.add_subcommand(command, subparser, help=text)
        if command in commands:
            _module(command).add_arguments(command, subparser)
    return parser


def _parser(prog: str, description: str) -> ArgumentParser:
    summary = description.partition("\n")[0]
    return ArgumentParser(prog=prog, description=summary, parser_mode="toml", allow_abbrev=False, exit_on_error=False)


def _module(command: str) -> Any:
    return importlib.import_module(f"unbroken.cli.{COMMANDS[command][0]}")
