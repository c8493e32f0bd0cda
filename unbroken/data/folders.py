"""The data files of a folder: links to other folders followed, tables of another format and pipes refused."""

import glob
import os
import posixpath
import re
import stat
from pathlib import Path
from typing import cast

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate

from unbroken.errors import DataError

TABLE_FORMATS = {
    "Delta Lake": re.compile(r"(^|/)_delta_log/"),
    "Apache Hudi": re.compile(r"(^|/)\.hoodie/"),
    "Apache Iceberg": re.compile(r"(^|/)metadata/([^/]+\.metadata\.json|version-hint\.text|snap-[^/]+\.avro)$"),
}
"""What is found beside the files of a table, of which not every row in every file is alive."""
SPECIAL = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def files_below(file_system: AbstractFileSystem, folder: str, endings: tuple[str, ...]) -> list[str]:
    """Return the files in a folder and below it whose names have one of some endings; hidden ones are left out.

    Raises:
        DataError: The folder is a table of another format, or one of the files is none.
    """
    paths = _walk(folder) if isinstance(file_system, LocalFileSystem) else cast(list[str], file_system.find(folder))
    _refuse_tables(folder, [path.removeprefix(folder) for path in paths])
    refuse_part_of_table(file_system, folder)
    result = [path for path in paths if path.lower().endswith(endings) and not is_hidden(path.removeprefix(folder))]
    for path in result:
        require_regular(file_system, path)
    return result


def matches_of(file_system: AbstractFileSystem, pattern: str) -> list[str]:
    """Return the files and folders that a glob names, also behind links; `**` stands for any number of folders.

    Raises:
        DataError: Beside `**` stands something else.
    """
    parts = pattern.split("/")
    if any("**" in part and part != "**" for part in parts):
        raise DataError(f"{pattern}: found ** beside other letters, expected it alone between two slashes")
    if not isinstance(file_system, LocalFileSystem):
        return cast(list[str], file_system.glob(pattern))
    if "**" not in parts:
        return glob.glob(pattern, include_hidden=True)  # noqa: PTH207 (a Path cannot be a pattern that begins at the root)
    top = "/".join(parts[: parts.index("**")])
    folders = glob.glob(f"{top}/", include_hidden=True)  # noqa: PTH207
    shape = re.compile(glob_translate(pattern))
    return [path for folder in folders for path in _walk(folder.rstrip("/")) if shape.match(path)]


def refuse_part_of_table(file_system: AbstractFileSystem, folder: str) -> None:
    """Raise DataError if a folder, or that of which it is a partition, is one in which a table keeps its files."""
    if "=" in posixpath.basename(folder):
        refuse_part_of_table(file_system, posixpath.dirname(folder))
    marks = [mark for mark in ("_delta_log", ".hoodie") if file_system.isdir(posixpath.join(folder, mark))]
    _refuse_tables(folder, [f"{mark}/" for mark in marks])
    metadata = posixpath.join(posixpath.dirname(folder), "metadata")
    if posixpath.basename(folder) == "data" and file_system.isdir(metadata):
        _refuse_tables(
            folder, [f"metadata/{posixpath.basename(path)}" for path in file_system.ls(metadata, detail=False)]
        )


def require_regular(file_system: AbstractFileSystem, path: str) -> None:
    """Raise DataError for a pipe, a socket or a device, of which reading may never end."""
    if not isinstance(file_system, LocalFileSystem) or not Path(path).exists():
        return
    kind = SPECIAL.get(stat.S_IFMT(Path(path).stat().st_mode))
    if kind:
        raise DataError(f"{path}: found {kind}, expected a file. Write its rows to a file and name that")


def is_hidden(path: str) -> bool:
    """Tell whether a name of a path begins with `_` or `.`, as those that Hive and Spark write beside data."""
    return any(part.startswith(("_", ".")) for part in path.split("/") if "=" not in part)


def _refuse_tables(folder: str, names: list[str]) -> None:
    for name, mark in TABLE_FORMATS.items():
        if any(mark.search(path) for path in names):
            raise DataError(
                f"{folder}: found a table of {name}, expected plain files: some of its files hold rows that were deleted "
                f"or replaced. Write its live rows to Parquet with the table's own library, and name that file; or copy one of "
                f"these elsewhere if all rows in it are meant"
            )


def _walk(folder: str) -> list[str]:
    """Return all files, also behind links to other folders.

    A folder that is inside is read once, by its own name; a link that is a partition is one of its own.
    """
    root, seen = Path(folder).resolve(), set()
    files: list[str] = []
    for path, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in sorted(folders) if _is_followed(Path(path) / name, root, seen)]
        files += [posixpath.join(path, name) for name in names]
    return files


def _is_followed(path: Path, root: Path, seen: set[Path]) -> bool:
    if not path.is_symlink():
        return True
    target = path.resolve()
    if root.is_relative_to(target) or any(target == folder.resolve() for folder in path.parents):
        return False
    if "=" in path.name:
        return True
    if target in seen or target.is_relative_to(root):
        return False
    seen.add(target)
    return True
