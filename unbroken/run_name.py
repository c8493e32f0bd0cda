"""The name that a person gives a run, in a file of its folder: any command takes it in place of the key."""

import os
from pathlib import Path

from unbroken.config.validation import require_run_name
from unbroken.errors import ConfigError, DataError
from unbroken.storage import atomic, own_files

FILE = "name"
LARGEST = 1 << 10


def read_name(folder: Path) -> str | None:
    """Return the name of the run in a folder; None if it has none, or none that can be read."""
    path = folder / FILE
    try:
        if path.stat().st_size > LARGEST:
            return None
        name = own_files.read(path).decode(errors="replace").strip()
        require_run_name(name)
    except (ConfigError, DataError, OSError):
        return None
    return name


def give_name(folder: Path, name: str) -> None:
    """Name the run in a folder, in place of the name it had.

    Raises:
        ConfigError: Another run beside it has the name.
    """
    require_run_name(name)
    require_free(name, folder)
    if read_name(folder) != name:
        atomic.write(folder / FILE, f"{name}\n".encode())


def require_free(name: str, folder: Path) -> None:
    """Raise ConfigError if a run beside the one in a folder has this name."""
    for other in named(folder.parent, name):
        if other != folder:
            raise ConfigError(
                f"name: found {name}, which {other} has; give another name, or that run another one: "
                f"unbroken runs name {other.name} NEW_NAME"
            )


def named(runs_folder: Path, name: str) -> list[Path]:
    """Return the folders of the runs that have a name, which are more than one where folders were copied."""
    if not runs_folder.is_dir():
        return []
    with os.scandir(runs_folder) as entries:
        folders = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    return sorted(folder for folder in folders if read_name(folder) == name)
