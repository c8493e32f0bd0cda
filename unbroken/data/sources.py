"""Find the files behind a source and tell by their content whether they are the same data."""

import hashlib
import posixpath
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Literal, cast
from urllib.parse import unquote

import fsspec
import pyarrow as pa
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from unbroken.data.folders import files_below, is_hidden, matches_of, refuse_part_of_table, require_regular
from unbroken.errors import DataError
from unbroken.storage import atomic

Format = Literal["parquet", "csv"]
PARQUET = (".parquet", ".pq", ".parq")
ENDINGS: dict[str, Format] = {
    **dict.fromkeys(PARQUET, "parquet"),
    **dict.fromkeys((".csv", ".csv.gz", ".tsv", ".tsv.gz"), "csv"),
}
NO_PLACES = (
    *("data", "reference", "dir", "generic", "dask", "async_wrapper", "asyncwrapper", "asynclocal"),
    *("cached", "blockcache", "filecache", "simplecache", "zip", "tar", "libarchive"),
)
"""Schemes of fsspec that hold their content in the URL itself, or stand for files of another file system."""
SHOWN_SOURCE = 80
"""Letters of a URL that a message repeats where its content stands in it."""
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
PERMANENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """One file of rows.

    Attributes:
        url: What fsspec opens.
        partition: The Hive partition columns that stand in its path; texts until the footers of all files are known.
        partition_dates: Those of them that are dates.
        origin: The CSV file that it was converted from.
        formats: How columns of that are written, where their values do not tell: the order of a date, the marks of a number.
        labelled_by: The column without a value in which a row is passed over.
        digest: That of its content, once it was read whole.
        version: What a remote file system named that content by, if it does.
    """

    url: str
    partition: dict[str, int | str | None] = field(default_factory=dict)
    partition_dates: tuple[str, ...] = ()
    origin: str | None = None
    formats: dict[str, str] = field(default_factory=dict)
    labelled_by: str | None = None
    digest: str | None = None
    version: str | None = None

    @property
    def name(self) -> str:
        """The file as the user knows it."""
        return self.origin or self.url

    @property
    def format(self) -> Format:
        """What its name says it is; raise DataError if that is nothing known."""
        return _format(self.url)


@contextmanager
def data_errors(path: str) -> Generator[None]:
    """Turn Arrow's and the file system's complaints about a file into a DataError that names it."""
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {_one_line(error)}") from error
    except OSError as error:
        # Arrow reports a bad file as an OSError without a number; most of those with one may pass and are retried.
        if error.errno is not None and not isinstance(error, PERMANENT):
            raise
        raise DataError(f"{path}: cannot be read: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def find_files(source: str) -> list[SourceFile]:
    """List the data files of a path, folder, glob or URL in a fixed order: sorted by path.

    Names that begin with `_` or `.` are passed over, as Hive and Spark write them beside data.

    Args:
        source: A path, a glob or a URL that fsspec opens; one that exists is no glob.

    Raises:
        DataError: There is no file, the formats are mixed, or the files are partitioned by other columns.
    """
    file_system, root = _open(source)
    with data_errors(source):
        base, paths = _paths(file_system, root)
    if not paths:
        raise DataError(
            f"{source}: no data there; found no file that ends in {', '.join(ENDINGS)} and does not begin with _ or ."
        )
    files = [SourceFile(url=file_system.unstrip_protocol(path), partition=_partition(path, base)) for path in paths]
    formats = sorted({file.format for file in files})
    if len(formats) > 1:
        raise DataError(
            f"{source}: found {' and '.join(formats)} files; expected one format. Name one, e.g. {source}/*.parquet"
        )
    names = sorted({tuple(sorted(file.partition)) for file in files})
    if len(names) > 1:
        raise DataError(f"{source}: files are partitioned by {names[0]} and by {names[1]}; expected one layout")
    return files


def digest_files(files: list[SourceFile]) -> list[str]:
    """Return the SHA-256 of the content of each file."""
    return [digest_file(file) for file in files]


def digest_file(file: SourceFile, stop: Event | None = None) -> str:
    """Return the digest of a file's content, of the kind that it has already, else SHA-256.

    Args:
        file: Local or remote.
        stop: Ends it early, with the digest of no matter what.
    """
    kind = atomic.kind_of_digest(file.digest or "")
    content = atomic.HASHES[kind]()
    with data_errors(file.url), fsspec.open(file.url, "rb") as stream:
        while (chunk := stream.read(atomic.BUFFER)) and not (stop and stop.is_set()):
            content.update(chunk)
    return kind + content.hexdigest()


def fingerprint_files(files: list[SourceFile], digests: list[str]) -> str:
    """Return one SHA-256 for the data: contents and partition values in order, and neither names nor times."""
    parts = hashlib.sha256()
    for file, digest in zip(files, digests, strict=True):
        parts.update(f"{digest} {sorted(file.partition.items())}\n".encode())
    return parts.hexdigest()


def local_path(url: str) -> str | None:
    """Return the path of a local file, or None for a remote one."""
    file_system, path = fsspec.url_to_fs(url)
    return path if isinstance(file_system, LocalFileSystem) else None


def _open(source: str) -> tuple[AbstractFileSystem, str]:
    scheme, separator, _ = source.partition("://")
    scheme = scheme if separator else "data" if source.startswith("data:") else ""
    if scheme in NO_PLACES:
        raise DataError(
            f"{source[:SHOWN_SOURCE]}: cannot be opened: {scheme} names no place where files lie; expected a path, a glob, "
            f"or a URL such as s3://bucket/folder"
        )
    try:
        with data_errors(source):
            file_system, root = fsspec.url_to_fs(source)
    except (ValueError, ImportError, TypeError, AttributeError, LookupError) as error:
        raise DataError(
            f"{source}: cannot be opened: {error}; expected a path, a glob, or a URL that fsspec opens"
        ) from error
    return cast(AbstractFileSystem, file_system), root.rstrip("/") or "/"


def _paths(file_system: AbstractFileSystem, root: str) -> tuple[str, list[str]]:
    """Return the folder below which names mean something, and the files; a path that exists is no glob."""
    if file_system.isfile(root):
        if root.lower().endswith(PARQUET):
            refuse_part_of_table(file_system, posixpath.dirname(root))
        return posixpath.dirname(root), [root]
    if file_system.isdir(root):
        return root, sorted(files_below(file_system, root, tuple(ENDINGS)))
    require_regular(file_system, root)
    if not any(mark in root for mark in "*?["):
        raise DataError(f"{root}: no such file or folder")
    prefix = root[: min(root.index(mark) for mark in "*?[" if mark in root)]
    base = posixpath.dirname(prefix)
    refuse_part_of_table(file_system, base)
    matches = [path for path in matches_of(file_system, root) if not is_hidden(path.removeprefix(base))]
    folders = [path for path in matches if file_system.isdir(path)]
    nested = {file for folder in folders for file in files_below(file_system, folder, tuple(ENDINGS))}
    for path in matches:
        require_regular(file_system, path)
    return base, sorted(nested | {path for path in matches if file_system.isfile(path)})


def _format(path: str) -> Format:
    for ending, format in ENDINGS.items():
        if path.lower().endswith(ending):
            return format
    raise DataError(f"{path}: unknown kind of file; expected a name that ends in {', '.join(ENDINGS)}")


def _partition(path: str, base: str) -> dict[str, int | str | None]:
    folders = posixpath.dirname(path.removeprefix(base)).split("/")
    pairs = [folder.split("=", 1) for folder in folders if "=" in folder]
    return {unquote(name): None if value == HIVE_NULL else unquote(value) for name, value in pairs}
