"""Files that are either whole under their final name or not there at all.

The order write, fsync(file), rename, fsync(folder) is the only one of those tried that survives
power cuts: see Pillai et al., "All File Systems Are Not Created Equal" (OSDI 2014).
"""

import hashlib
import io
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from blake3 import blake3

from unbroken.storage.temporary import create_file

PRIVATE = 0o700
BUFFER = 1 << 20

SHA256, BLAKE3 = "", "blake3:"
"""What digests begin with: SHA-256 as `sha256sum` prints it; of rows, BLAKE3, which takes a quarter of the time."""

HASHES: dict[str, Any] = {SHA256: hashlib.sha256, BLAKE3: blake3}


def make_folder(path: Path) -> Path:
    """Create a private folder and its parents durably; a folder that exists is left as it is."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(mode=PRIVATE, exist_ok=True)
        sync_folder(path.parent)
    return path


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable; without it a power cut can forget a rename."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with path_in_errors(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def path_in_errors(path: Path) -> Generator[None]:
    """Add the path to an error of a write or an fsync, which know only the number of an open file."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


class DigestingFile(io.BufferedWriter):
    """A file that takes the digest of what is written to it, so that nothing is read again for it."""

    def __init__(self, file: BinaryIO, kind: str) -> None:
        self._digesting = _Digesting(file, kind)
        super().__init__(self._digesting, BUFFER)

    @property
    def digest(self) -> str:
        """The digest of all that was written and flushed: its kind and 64 hexadecimal digits."""
        return self._digesting.kind + self._digesting.hash.hexdigest()


class _Digesting(io.RawIOBase):
    """Below the buffer, where few and large pieces come."""

    def __init__(self, file: BinaryIO, kind: str) -> None:
        self.file, self.kind, self.hash = file, kind, HASHES[kind]()

    def writable(self) -> bool:
        return True

    def write(self, content: Any, /) -> int:
        if self.file.closed:  # after an error, which dropped it with what is still in the buffer
            return len(content)
        count = self.file.write(content)
        self.hash.update(content[:count])
        return count


@contextmanager
def replacing(
    path: Path,
    guard: Callable[[], None] = lambda: None,
    final_path: Callable[[], Path] | None = None,
    kind: str = SHA256,
) -> Generator[DigestingFile]:
    """Yield a temporary file that takes the name `path`, durably, when the block ends without an error.

    The temporary name is in the same folder, so that the rename never crosses a file system. A missing folder is made.

    Args:
        path: The file's final name.
        guard: Called right before the rename, which it prevents by raising.
        final_path: Gives another name in the same folder, for one that depends on the content.
        kind: The kind of the file's digest, SHA256 or BLAKE3.

    Raises:
        OSError: The disk refuses; nothing is left under either name.
    """
    make_folder(path.parent)
    with path_in_errors(path):
        descriptor, name = create_file(path.parent, path.name)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                digesting = DigestingFile(file, kind)
                yield digesting
                digesting.flush()
                os.fsync(file.fileno())
                guard()
                # Still open, so still locked: what is not locked counts as left by a killed writer.
                Path(name).rename(final_path() if final_path else path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write(path: Path, content: bytes | memoryview, guard: Callable[[], None] = lambda: None) -> None:
    """Write a whole file atomically and durably."""
    with replacing(path, guard) as file:
        file.write(content)


def recover(folder: Path) -> None:
    """Delete what killed writers left in a folder of a run, and make durable the names that they could not.

    Call it only while no one else writes to the folder.
    """
    make_folder(folder)
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
    for part in (folder, *folder.parents[:3]):
        sync_folder(part)


def digest(path: Path, kind: str = SHA256) -> str:
    """Return the digest of a file's content: its kind and 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return kind + hashlib.file_digest(file, HASHES[kind]).hexdigest()


def digest_as(path: Path, example: str) -> str:
    """Return the digest of a file's content, of the same kind as another digest."""
    return digest(path, kind_of_digest(example))


def kind_of_digest(digest: str) -> str:
    """Return what kind a digest is of: SHA256 or BLAKE3."""
    return BLAKE3 if digest.startswith(BLAKE3) else SHA256
