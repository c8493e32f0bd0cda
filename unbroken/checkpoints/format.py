"""Checkpoint format 1: what is in a file, as bytes that are equal whenever the content is.

`torch.load(path, weights_only=True)` gives a dict with the keys of `validation.Content`. It holds no clock, path or count of
restarts. Here it is read by `pickled.py`, which knows nothing but tensors and plain values, so a foreign file cannot run code.
"""

import hashlib
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch

from unbroken.checkpoints.pickled import read_pickled
from unbroken.checkpoints.tree import Tree
from unbroken.checkpoints.validation import check_content, shown
from unbroken.errors import CheckpointMismatchError, CorruptCheckpointError

FORMAT = 1
ENCRYPTED = 1
UNREADABLE = (
    zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, ArithmeticError, LookupError, MemoryError, struct.error,
)  # fmt: skip
"""What a damaged zip file can end in."""


def write_checkpoint(tree: Tree, file: Any) -> None:
    """Write a checkpoint's content to an open file, piece by piece: whole in memory it would be copied once more.

    Raise OSError if the file does.
    """
    try:
        torch.save(tree, file)
    except RuntimeError as error:  # torch tells that a write failed, but not why
        raise error.__context__ if isinstance(error.__context__, OSError) else error from None


def read_checkpoint(path: Path, expected_digest: str | None = None) -> Tree:
    """Read a checkpoint whole; see `read_with_digest`."""
    return read_with_digest(path, expected_digest)[0]


def read_with_digest(path: Path, expected_digest: str | None = None) -> tuple[Tree, str]:
    """Read a checkpoint whole and return it with the SHA-256 of its bytes.

    Args:
        path: The file.
        expected_digest: The beginning of its SHA-256. Without one only the checksums inside the file are verified,
            which torch itself leaves out.

    Raises:
        CorruptCheckpointError: It is not whole, or no checkpoint.
        CheckpointMismatchError: It is of another program or another format.
    """
    content = read_content(path)
    digest = hashlib.sha256(content).hexdigest()
    if expected_digest is not None:
        check_digest(path, digest, expected_digest)
    return decode(content, path), digest


def read_content(path: Path) -> bytes:
    """Return the bytes of a file; raise CorruptCheckpointError if it is none."""
    if not path.is_file():
        raise CorruptCheckpointError(f"{path}: found no regular file")
    try:
        return path.read_bytes()
    except MemoryError as error:
        size = path.stat().st_size
        raise CorruptCheckpointError(
            f"{path}: found {size:,} bytes, more than this machine can read at once"
        ) from error


def check_digest(path: Path, digest: str, expected: str) -> None:
    """Raise CorruptCheckpointError unless a SHA-256 begins with the expected digits."""
    if not digest.startswith(expected):
        raise CorruptCheckpointError(f"{path}: found SHA-256 {digest[: len(expected)]}, expected {expected}")


def decode(content: bytes, path: Path) -> Tree:
    """Return what the bytes of a file hold, all of it held against the format; raise as `read_with_digest` does."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _verify_parts(archive, len(content), path)
            tree = _read(archive, path)
    except UNREADABLE as error:
        raise CorruptCheckpointError(
            f"{path}: found {len(content)} bytes that are no whole checkpoint: {error}"
        ) from error
    _check_format(tree, path)
    try:
        check_content(tree)
    except ValueError as error:
        raise CorruptCheckpointError(f"{path}: {error}. It is not as a checkpoint is written") from error
    return tree


def _verify_parts(archive: zipfile.ZipFile, size: int, path: Path) -> None:
    # Torch neither compresses nor encrypts: a part that says so is damaged, and no decompressor gets to see it.
    parts = archive.infolist()
    foreign = (part.filename for part in parts if part.compress_type or part.flag_bits & ENCRYPTED)
    larger = (part.filename for part in parts if sum(part.file_size for part in parts) > size)
    if damaged := next(foreign, None) or next(larger, None) or archive.testzip():
        raise CorruptCheckpointError(f"{path}: the checksum of {damaged} does not fit its content")


def _read(archive: zipfile.ZipFile, path: Path) -> Any:
    try:
        return read_pickled(archive)
    except ValueError as error:
        raise CorruptCheckpointError(
            f"{path}: holds more than tensors and plain values, or is no checkpoint: {error}"
        ) from error


def _check_format(tree: Any, path: Path) -> None:
    if not isinstance(tree, dict) or "format" not in tree:
        raise CheckpointMismatchError(f"{path}: not one of ours: found no `format`. Give it to torch.load instead")
    if type(tree["format"]) is not int or tree["format"] != FORMAT:
        raise CheckpointMismatchError(
            f"{path}: found checkpoint format {shown(tree['format'])}, expected {FORMAT}. "
            f"Use the version of unbroken that wrote it"
        )
