"""`unbroken serve | stop | apply`: the project in the present folder, deployed on Prefect."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from unbroken.cli.terminal import FINE
from unbroken.errors import ConfigError

DATABASE = (
    "where the server keeps what it knows: a PostgreSQL, or `sqlite` for the file in PREFECT_HOME, which is the default"
)
KEEP_DAYS = (
    "days after its end that the server keeps a run with its log and reports (30); what runs wrote is not touched"
)


def add_arguments(command: str, parser: ArgumentParser) -> None:
    """Add what can be chosen about the server that `serve` starts; the project says the rest."""
    if command == "serve":
        parser.add_argument("--database", type=str, metavar="URL", help=DATABASE)
        parser.add_argument("--keep-days", type=int, metavar="N", help=KEEP_DAYS)


def run(command: str, arguments: Namespace, _: Console) -> int:
    """Do what the command says, for the project in this folder."""
    if not Path("prefect.yaml").is_file():
        raise ConfigError(
            f"{Path.cwd()}: found no prefect.yaml, expected the folder of a project. Go to one, or make one: unbroken init DIR"
        )
    from unbroken.deployment import serve  # noqa: PLC0415 (Prefect)

    chosen = {name: value for name, value in vars(arguments).items() if name in ("database", "keep_days")}
    {"serve": serve.serve, "stop": serve.stop, "apply": serve.apply}[command](**chosen)
    return FINE
