"""`unbroken serve | stop | apply | heal`: the project in the present folder, deployed on Prefect."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from unbroken.cli.terminal import FINE
from unbroken.errors import ConfigError


def add_arguments(_: str, __: ArgumentParser) -> None:
    """Add nothing: the project says all."""


def run(command: str, _: Namespace, __: Console) -> int:
    """Do what the command says, for the project in this folder."""
    if not Path("prefect.yaml").is_file():
        raise ConfigError(
            f"{Path.cwd()}: found no prefect.yaml, expected the folder of a project. Go to one, or make one: unbroken init DIR"
        )
    from unbroken.deployment import serve  # noqa: PLC0415 (Prefect)

    {"serve": serve.serve, "stop": serve.stop, "apply": serve.apply, "heal": serve.heal}[command]()
    return FINE
