"""Which run a word means: its folder, its name, its key or the beginning of that."""

import os
from pathlib import Path

from unbroken.config.validation import RUN_KEY
from unbroken.errors import ConfigError
from unbroken.run import DESCRIPTION
from unbroken.run_name import named, read_name

SHOWN = 5


def run_folders(runs_folder: Path) -> list[Path]:
    """Return the folders of all runs in a folder of runs, by key; none where there is no such folder."""
    try:
        with os.scandir(runs_folder) as entries:
            folders = [entry.name for entry in entries if RUN_KEY.fullmatch(entry.name) and entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [runs_folder.absolute() / name for name in sorted(folders)]


def find_run(word: str, runs_folder: Path) -> Path:
    """Return the folder of the run that a word means.

    Args:
        word: A path of a run's folder, a name, a key or the unique beginning of one.
        runs_folder: Where runs are looked for.

    Raises:
        ConfigError: No run, or more than one, is meant.
    """
    path = Path(word)
    if path.is_dir() and (RUN_KEY.fullmatch(path.absolute().name) or (path / DESCRIPTION).exists()):
        return path.absolute()
    runs = run_folders(runs_folder)
    folders = named(runs_folder, word) or [run for run in runs if run.name.startswith(word)]
    if len(folders) == 1:
        return folders[0].absolute()
    if folders:
        more = f" and {len(folders) - SHOWN} more" if len(folders) > SHOWN else ""
        raise ConfigError(f"run: found {word}, which {_words(folders)}{more} are; expected one of them")
    there = f"those there are {_words(runs[:SHOWN])}" if runs else f"there is none in {runs_folder}"
    raise ConfigError(
        f"run: found {word!r}, expected a run's name, key, beginning of it, or folder; {there}. See: unbroken runs"
    )


def _words(folders: list[Path]) -> str:
    return ", ".join(
        f"{folder.name} ({name})" if (name := read_name(folder)) else folder.name for folder in folders[:SHOWN]
    )
