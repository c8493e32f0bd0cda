"""Temporary files and folders, and how those of killed writers are told from those of living ones.

A writer holds the kernel's lock on what it writes, from its creation to its rename. The lock goes with the process, however
that ends: what can be locked has no writer any more, and may be deleted at any time. Nothing is deleted that has another
name, is a link, or lies on a file system without locks.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".unbroken.tmp"


def create_file(folder: Path, name: str) -> tuple[int, str]:
    """Create a file for a writer that will rename it, and return its descriptor, which holds the lock, and its path.

    The name is unpredictable and exclusive, so that two writers never share one.
    """
    while True:
        descriptor, path = tempfile.mkstemp(prefix=f".{name}.", suffix=TEMPORARY, dir=folder)
        if _lock(descriptor) is not False and os.fstat(descriptor).st_nlink:
            return descriptor, path
        os.close(descriptor)  # swept between its creation and its lock


@contextmanager
def temporary_folder(parent: Path, name: str) -> Generator[Path]:
    """Yield a private folder inside another one that is deleted at the end of the block, or by the next `sweep`."""
    sweep(parent)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", suffix=TEMPORARY, dir=parent) as path:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _lock(descriptor)
            yield Path(path)
        finally:
            os.close(descriptor)


def sweep(folder: Path, *, below: bool = False) -> None:
    """Delete what killed writers left in a folder.

    Args:
        folder: A folder that may be shared with others; it need not exist.
        below: Whether those inside it are swept too.
    """
    pattern = f".*{TEMPORARY}"
    for path in sorted(folder.rglob(pattern) if below else folder.glob(pattern)):
        _delete_if_dead(path)


def _delete_if_dead(path: Path) -> None:
    try:
        kind = stat.S_IFMT(path.lstat().st_mode)
        if kind not in {stat.S_IFREG, stat.S_IFDIR}:
            return
        flags = os.O_RDONLY | os.O_DIRECTORY if kind == stat.S_IFDIR else os.O_RDWR
        descriptor = os.open(path, flags | os.O_NOFOLLOW)
    except OSError:
        return  # gone meanwhile, or not ours
    try:
        if _lock(descriptor):
            shutil.rmtree(path, ignore_errors=True) if kind == stat.S_IFDIR else path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Return whether the lock was free and is now held; None where the file system has none."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
