"""`unbroken export`: a published model in a format that others read."""

import logging
import warnings
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from unbroken.catalog.lookup import find_run
from unbroken.cli.terminal import FINE, as_text
from unbroken.run import PUBLISHED

FACTORY = "The function that builds the model, if it is one of your own and not the project's."
FORMAT = "onnx, pt2 or safetensors; what the target ends with when not given."


def add_arguments(_: str, parser: ArgumentParser) -> None:
    """Add what is exported, and where to."""
    parser.add_argument("model", type=str, help="A run, the folder of a model, or a published checkpoint.pth.")
    parser.add_argument("--target", type=str, required=True, help="The file to write.")
    parser.add_argument("--format", type=str | None, default=None, help=FORMAT)
    parser.add_argument("--factory", type=str | None, default=None, help=FACTORY)
    parser.add_argument("--overwrite", type=bool, default=False, help="Replace a file that is there.")
    parser.add_argument("--runs_folder", type=str, default="runs", help="Folder of the runs.")


def run(_: str, arguments: Namespace, console: Console) -> int:
    """Write the file and say how large it is."""
    from unbroken.interchange.export import export  # noqa: PLC0415 (torch)

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells which packages for pictures are not installed
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of torch to itself
        path = export(
            _published(arguments.model, Path(arguments.runs_folder)),
            arguments.target,
            format=arguments.format,
            factory=arguments.factory,
            overwrite=arguments.overwrite,
        )
    console.print(as_text(f"{path}  ({path.stat().st_size:,} bytes, compared with the model)"), soft_wrap=True)
    return FINE


def _published(word: str, runs_folder: Path) -> Path:
    """Return the checkpoint or the folder of a model that a word means."""
    path = Path(word)
    return path if path.is_file() or (path / "champion.json").is_file() else find_run(word, runs_folder) / PUBLISHED
