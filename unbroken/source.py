"""Find the files behind a source and tell by their content whether they are the same data."""

import hashlib
import posixpath
from dataclasses import dataclass, field
from typing import Literal, cast
from urllib.parse import urlsplit

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from unbroken.errors import ConfigError, DataError

Format = Literal["parquet", "csv"]

SAMPLE = "sample"
ENDINGS: dict[str, Format] = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".csv.gz": "csv"}


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """One file of a source: its URL for fsspec, its format, and the Hive partition values in its path."""

    url: str
    format: Format
    partition: dict[str, str] = field(default_factory=dict)


def find_files(source: str) -> list[SourceFile]:
    """List the data files of a path, folder, glob or URL in a fixed order: sorted by path.

    Names that begin with `_` or `.` are passed over, as Hive and Spark write them beside data.
    Raise DataError if there are none or the formats are mixed.
    """
    files_system, root = _open(source)
    paths = _paths(files_system, root)
    if not paths:
        raise DataError(f"{source}: no data there; found no file that ends in {', '.join(ENDINGS)}")
    files = [
        SourceFile(url=files_system.unstrip_protocol(path), format=_format(path), partition=_partition(path, root))
        for path in paths
    ]
    formats = sorted({file.format for file in files})
    if len(formats) > 1:
        raise DataError(
            f"{source}: found {' and '.join(formats)} files; expected one format. Name one, e.g. {source}/*.parquet"
        )
    names = sorted({tuple(file.partition) for file in files})
    if len(names) > 1:
        raise DataError(f"{source}: files are partitioned by {names[0]} and by {names[1]}; expected one layout")
    return files


def digests(files: list[SourceFile]) -> list[str]:
    """Return the SHA-256 of the content of each file."""
    return [_digest(file) for file in files]


def fingerprint(files: list[SourceFile], content: list[str]) -> str:
    """Return one SHA-256 for the data: contents and partition values in order, and neither names nor times."""
    parts = hashlib.sha256()
    for file, found in zip(files, content, strict=True):
        parts.update(f"{found} {sorted(file.partition.items())}\n".encode())
    return parts.hexdigest()


def local_path(file: SourceFile) -> str | None:
    """Return the path of a local file, which Arrow reads by memory map, or None for a remote one."""
    files_system, path = fsspec.url_to_fs(file.url)
    return path if isinstance(files_system, LocalFileSystem) else None


def _open(source: str) -> tuple[AbstractFileSystem, str]:
    if "://" in source and "@" in urlsplit(source).netloc:
        scheme = urlsplit(source).scheme
        raise ConfigError(
            f"data.source: found credentials inside a {scheme} URL, expected none, since a source is logged and stored. "
            f"Give them in the environment, e.g. FSSPEC_{scheme.upper()}_USERNAME"
        )
    try:
        files_system, root = fsspec.url_to_fs(source)
    except (ValueError, ImportError) as error:
        raise DataError(f"{source}: cannot be opened: {error}") from error
    return cast(AbstractFileSystem, files_system), root.rstrip("/") or "/"


def _paths(files_system: AbstractFileSystem, root: str) -> list[str]:
    if any(mark in root for mark in "*?["):
        found = [path for path in files_system.glob(root) if files_system.isfile(path)]
    elif files_system.isdir(root):
        found = [path for path in files_system.find(root) if not _hidden(path.removeprefix(root))]
        found = [path for path in found if path.lower().endswith(tuple(ENDINGS))]
    elif files_system.isfile(root):
        found = [root]
    else:
        raise DataError(f"{root}: no such file or folder")
    return sorted(cast(list[str], found))


def _hidden(path: str) -> bool:
    return any(part.startswith(("_", ".")) for part in path.split("/") if "=" not in part)


def _format(path: str) -> Format:
    for ending, format in ENDINGS.items():
        if path.lower().endswith(ending):
            return format
    raise DataError(f"{path}: unknown kind of file; expected a name that ends in {', '.join(ENDINGS)}")


def _partition(path: str, root: str) -> dict[str, str]:
    folders = posixpath.dirname(path.removeprefix(root)).split("/")
    pairs = (folder.split("=", 1) for folder in folders if "=" in folder)
    return dict(pairs)


def _digest(file: SourceFile) -> str:
    with fsspec.open(file.url, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
