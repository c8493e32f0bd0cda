"""Files under fixed names of our own: opened only where a regular file stands there, and for writing never through a link.

A link, a pipe or a device that was planted at such a name would lead what is written elsewhere, or hold whoever opens it up.
"""

import fcntl
import os
import stat
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from unbroken.errors import DataError

PRIVATE_FILE = 0o600
KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFDIR: "a folder",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_to_append(path: Path) -> BinaryIO:
    """Open a private file to append to, which is made if there is none.

    Raises:
        DataError: Something else than a regular file stands there; it is left as it is.
    """
    return open(path, "ab", opener=lambda name, flags: _open(Path(name), flags | os.O_NOFOLLOW))


def read(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        DataError: It is, or is a link to, something else than a regular file.
        OSError: It cannot be read.
    """
    with open(path, "rb", opener=lambda name, flags: _open(Path(name), flags)) as file:
        return file.read()


def require_no_link(*folders: Path) -> None:
    """Raise DataError if a folder that is written to is a link, which would lead elsewhere."""
    for folder in folders:
        if folder.is_symlink():
            raise _refusal(folder, "a link", "a folder")


def lock(path: Path) -> FileLock:
    """Return the lock of a private file, which is made once the lock is taken; raise DataError as `open_to_append` does."""
    if kind := _foreign_kind(path, follow=False):
        raise _refusal(path, kind)
    return FileLock(path, mode=PRIVATE_FILE)


def is_locked(path: Path) -> bool | None:
    """Tell whether a process holds the lock of a file; None where there is no such file of ours, or a file system without locks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def _open(path: Path, flags: int) -> int:
    try:
        # Without O_NONBLOCK, whoever opens a pipe waits for its other end.
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, PRIVATE_FILE)
    except OSError as error:
        if kind := _foreign_kind(path, follow=not flags & os.O_NOFOLLOW):
            raise _refusal(path, kind) from error
        raise
    if kind := KINDS.get(stat.S_IFMT(os.fstat(descriptor).st_mode)):
        os.close(descriptor)
        raise _refusal(path, kind)
    os.set_blocking(descriptor, True)
    return descriptor


def _foreign_kind(path: Path, *, follow: bool) -> str | None:
    try:
        return KINDS.get(stat.S_IFMT(path.stat(follow_symlinks=follow).st_mode))
    except OSError:
        return None  # nothing there, or nothing that can be seen


def _refusal(path: Path, kind: str, expected: str = "a regular file") -> DataError:
    return DataError(f"{path}: found {kind}, expected {expected} or nothing. It is left as it is: move it away")
