"""`unbroken serve | stop | apply | heal`: the project in the present folder, deployed on Prefect."""

import os
import tempfile
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from unbroken.cli.flow import wrong_settings_in_words
from unbroken.cli.terminal import FINE
from unbroken.config.project import Project
from unbroken.errors import ConfigError

HOME = Path("~/.prefect")


def add_arguments(command: str, parser: ArgumentParser) -> None:
    """Add what can be asked of a server, or of what is on it; the project says the rest."""
    if command == "serve":
        port = "Port of the server that is started; 4200, or what PREFECT_SERVER_API_PORT says, if unset."
        parser.add_argument("--port", type=int, metavar="N", help=port)
        without = "Let whoever reaches the port see, start and change all, without a secret."
        parser.add_argument("--no-auth", action="store_true", help=without)
    if command == "apply":
        reset = "Also change what differs on the server to what the project says."
        parser.add_argument("--reset", action="store_true", help=reset)


def run(command: str, arguments: Namespace, _: Console) -> int:
    """Do what the command says, for the project in this folder."""
    if not Path("prefect.yaml").is_file():
        raise ConfigError(
            f"{Path.cwd()}: found no prefect.yaml, expected the folder of a project. Go to one, or make one: unbroken init DIR"
        )
<<<<<<< HEAD
    from unbroken.deployment import serve  # noqa: PLC0415 (Prefect)

    {"serve": serve.serve, "stop": serve.stop, "apply": serve.apply, "heal": serve.heal}[command]()
=======
    project = Project.of(Path.cwd(), os.environ)
    if command == "serve":
        _require_writable_folders(project)
    with wrong_settings_in_words(instead=""):
        from unbroken.deployment import serve  # noqa: PLC0415 (Prefect)
        from unbroken.deployment.own_server import Options  # noqa: PLC0415
    if command == "serve":
        serve.serve(project, Options(port=arguments.port, auth=False if arguments.no_auth else None))
    elif command == "apply":
        serve.apply(project, reset=arguments.reset)
    else:
        serve.stop(project)
>>>>>>> service
    return FINE


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
