"""Whatever is read of a source is the content that names the run: verified beside each reading.

A stage opens its files more than once, and anyone may replace them meanwhile. So their digests are taken while the stage
reads, and what the file system says of them has to be the same before and after. Where it is not, but the content is, a
file was touched, or replaced and put back: it is read again.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TypeVar

import fsspec

from unbroken.data.sources import SourceFile, data_errors, digest_file, local_path
from unbroken.errors import DataError

Result = TypeVar("Result")
Signature = tuple[tuple[object, ...], int, int]
log = logging.getLogger(__name__)

ATTEMPTS = 3
VERSIONS = ("ETag", "etag", "e_tag", "VersionId", "version_id", "generation", "md5Hash", "content_md5")
"""What remote file systems name the content of a file by, in fsspec's `info`."""
TIMES = ("mtime", "LastModified", "last_modified", "updated", "created")


def read_verified(files: Sequence[SourceFile], read: Callable[[], Result]) -> Result:
    """Return what `read` returns, once all that it read is known to be the content that the files are to have.

    Args:
        files: All that it reads; one without a digest is only watched.
        read: May be called more than once.

    Raises:
        DataError: A file is gone, or has other content.
    """
    return read_digesting(files, read, lambda digested: _require_digests(digested, files))[0]


class _DisturbedError(Exception):
    """A file was written to while it was read."""


def read_watched(files: Sequence[SourceFile], read: Callable[[Callable[[], None]], Result]) -> Result:
    """Return what `read` returns, once the files were left alone while it read: it saw one content, whichever.

    Args:
        files: All that it reads.
        read: May be called more than once. It calls what it is given before anything it makes is seen, which ends it if a
            file was written to.

    Raises:
        DataError: A file is gone, or was written to each time.
    """
    for _ in range(ATTEMPTS):
        signatures = [_signature(file) for file in files]

        def require_rest(signatures: list[Signature] = signatures) -> None:
            if not _are_same(signatures, files):
                raise _DisturbedError

        try:
            result = read(require_rest)
            require_rest()
        except _DisturbedError:
            pass
        except Exception:
            if _are_same(signatures, files):
                raise
        else:
            return result
        log.warning("%s: written to while it was read; reading it again", files[0].url)
    raise _restless(files)


def read_digesting(
    files: Sequence[SourceFile], read: Callable[[], Result], require: Callable[[list[SourceFile]], None]
) -> tuple[Result, list[SourceFile]]:
    """Return what `read` returns, and the files with the digests of what it read.

    Args:
        files: All that it reads.
        read: May be called more than once.
        require: Raises DataError unless files with these digests are the right ones; that comes before any error of
            reading, which it explains.
    """
    for _ in range(ATTEMPTS):
        signatures = [_signature(file) for file in files]
        result, failure, digested = _read_beside(files, read)
        require(digested)
        if _are_same(signatures, files):
            return _outcome(result, failure), digested
        log.warning("%s: written to while it was read; reading it again", files[0].url)
    raise _restless(files)


def _restless(files: Sequence[SourceFile]) -> DataError:
    return DataError(f"{files[0].url}: written to each time it was read; run the same command again when it is at rest")


def _attempt(read: Callable[[], Result]) -> tuple[tuple[Result] | None, Exception | None]:
    try:
        return (read(),), None
    except Exception as error:
        return None, error


def _outcome(result: tuple[Result] | None, failure: Exception | None) -> Result:
    if failure is not None:
        raise failure
    assert result is not None
    return result[0]


def _require_digests(digested: Sequence[SourceFile], files: Sequence[SourceFile]) -> None:
    for file, known in zip(digested, files, strict=True):
        if known.digest is not None and file.digest != known.digest:
            raise DataError(
                f"{file.url}: changed since this run began: found digest {file.digest}, expected {known.digest}. "
                f"Put that content back, or run the same command again to begin with what is there now"
            )


def _read_beside(
    files: Sequence[SourceFile], read: Callable[[], Result]
) -> tuple[tuple[Result] | None, Exception | None, list[SourceFile]]:
    """Read and digest at the same time; return what was read or why it was not, and the files as digested."""
    stop = Event()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="verify") as pool:
        digested = pool.submit(lambda: [_digested(file, stop) for file in files])
        try:
            result, failure = _attempt(read)
        except BaseException:
            stop.set()
            raise
        return result, failure, digested.result()


def _digested(file: SourceFile, stop: Event) -> SourceFile:
    version = _version(file)
    if version is not None and version == file.version:
        return file
    return replace(file, digest=digest_file(file, stop), version=version)


def _signature(file: SourceFile) -> Signature:
    """Return what changes when a file is written to or replaced, as far as its file system tells, its links, its time of change."""
    path = local_path(file.url)
    with data_errors(file.url):
        if path is not None:
            status = Path(path).stat()
            name = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
            return name, status.st_nlink, status.st_ctime_ns
        info = _info(file)
        return tuple(str(info.get(name)) for name in ("size", *VERSIONS, *TIMES)), 1, 0


def _are_same(signatures: Sequence[Signature], files: Sequence[SourceFile]) -> bool:
    return all(_is_same(left, _signature(file)) for left, file in zip(signatures, files, strict=True))


def _is_same(left: Signature, right: Signature) -> bool:
    """Tell whether a file is as it was; one more hard link to it, as a backup makes, changes its time too."""
    return left == right or (left[0] == right[0] and left[1] != right[1])


def _version(file: SourceFile) -> str | None:
    """Return the name that a remote file system gives to the content of a file, if it does."""
    if local_path(file.url) is not None:
        return None
    with data_errors(file.url):
        info = _info(file)
    names = [f"{name}={info[name]}" for name in VERSIONS if info.get(name)]
    return " ".join(names) or None


def _info(file: SourceFile) -> dict[str, object]:
    file_system, path = fsspec.url_to_fs(file.url)
    file_system.invalidate_cache()
    return file_system.info(path)
