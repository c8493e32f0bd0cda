"""`unbroken serve | stop | apply | heal`: the project in the present folder, deployed on Prefect."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from unbroken.cli.flow import wrong_settings_in_words
from unbroken.cli.terminal import FINE
from unbroken.config.project import Project
from unbroken.errors import ConfigError

if TYPE_CHECKING:
    from unbroken.deployment.own_server import Options

HOME = Path("~/.prefect")
PORT = "Port of the server that is started; 4200, or what PREFECT_SERVER_API_PORT says, if unset."
NO_AUTH = "Let whoever reaches the port see, start and change all, without a secret."
DATABASE = "Where the server keeps what it knows: a PostgreSQL, or `sqlite` for a file in .serve, which is the default."
KEEP_DAYS = (
    "Days after its end that the server keeps a run with its log and reports (30); what runs wrote is not touched."
)
RESET = "Also change what differs on the server to what the project says."


def add_arguments(command: str, parser: ArgumentParser) -> None:
    """Add what can be asked of a server, or of what is on it; the project says the rest."""
    if command == "serve":
        parser.add_argument("--port", type=int, metavar="N", help=PORT)
        parser.add_argument("--no-auth", action="store_true", help=NO_AUTH)
        parser.add_argument("--database", type=str, metavar="URL", help=DATABASE)
        parser.add_argument("--keep-days", type=int, metavar="N", help=KEEP_DAYS)
    if command == "apply":
        parser.add_argument("--reset", action="store_true", help=RESET)


def run(command: str, arguments: Namespace, _: Console) -> int:
    """Do what the command says, for the project in this folder."""
    if not Path("prefect.yaml").is_file():
        raise ConfigError(
            f"{Path.cwd()}: found no prefect.yaml, expected the folder of a project. Go to one, or make one: unbroken init DIR"
        )
    project = Project.of(Path.cwd(), os.environ)
    if command == "serve":
        _require_writable_folders(project)
    with wrong_settings_in_words(instead=""):
        from unbroken.deployment import serve  # noqa: PLC0415 (Prefect)
    if command == "serve":
        serve.serve(project, _options(arguments))
    elif command == "apply":
        serve.apply(project, reset=arguments.reset)
    elif command == "heal":
        serve.heal(project)
    else:
        serve.stop(project)
    return FINE


def _options(arguments: Namespace) -> "Options":
    from unbroken.deployment.own_server import Options  # noqa: PLC0415 (as above)

    return Options(
        port=arguments.port,
        auth=False if arguments.no_auth else None,
        database=arguments.database,
        keep_days=arguments.keep_days,
    )


def _require_writable_folders(project: Project) -> None:
    """Raise ConfigError unless what is served can keep what it knows: before Prefect is imported, which warns of its own."""
    home = Path(os.environ.get("PREFECT_HOME") or HOME).expanduser()
    _require_writable(
        project.state, "logs, secret and database of what is served", "Serve a copy of the project elsewhere"
    )
    _require_writable(home, "what Prefect keeps of its runs", "Set PREFECT_HOME to a folder of your own")


def _require_writable(folder: Path, kept: str, way_out: str) -> None:
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        raise ConfigError(
            f"{place}: found a folder that cannot be written ({error.strerror}), expected one for {kept}. {way_out}"
        ) from error
