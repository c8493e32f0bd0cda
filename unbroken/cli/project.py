"""`unbroken init`: a project of the user's own, as small as it can be and deployable as it is."""

import shutil
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from unbroken.cli.terminal import FINE, as_text
from unbroken.config.validation import require_local_path
from unbroken.data import sample
from unbroken.errors import ConfigError
from unbroken.storage import atomic

TEMPLATE = Path(__file__).parent / "template"
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")
SOURCE, MODEL = "data/flights", "flights"
"""What the deployments of this repository train on, and its model: `data` and `sample` in a new project."""


def add_arguments(_: str, parser: ArgumentParser) -> None:
    """Add the folder."""
    parser.add_argument("folder", type=str, help="Folder to make; it must not exist, or be empty.")


def run(_: str, arguments: Namespace, console: Console) -> int:
    """Write the project and say what to type next."""
    require_local_path("folder", arguments.folder)
    folder = Path(arguments.folder)
    write_project(folder)
    console.print(
        as_text(f"{folder}: a project, its data the built-in sample", "", f"cd {folder}", "unbroken train"),
        soft_wrap=True,
    )
    return FINE


def write_project(folder: Path) -> None:
    """Write flows, tasks, deployments, settings, an example model and sample rows; raise ConfigError where something is."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder}: found something there, expected a new name or an empty folder")
    atomic.make_folder(folder)
    shutil.copytree(TEMPLATE, folder, dirs_exist_ok=True, ignore=LEFT_OUT)
    (folder / "gitignore").rename(folder / ".gitignore")
    deployments = folder / "prefect.yaml"
    text = deployments.read_text("utf-8").replace(SOURCE, "data").replace(MODEL, "sample")
    deployments.write_text(text, "utf-8")
    sample.write(folder / "data" / "sample.parquet")
