"""Checkpoint format 1: what is in a file, as bytes that are equal whenever the content is.

`torch.load(path, weights_only=True)` reads it and gives a dict with the keys of KEYS. It holds no clock, path or
count of restarts. Nothing is ever unpickled beyond tensors and plain values, so a foreign file cannot run code.
"""

import hashlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from unbroken.checkpoints.tree import Tree
from unbroken.errors import CheckpointMismatchError, CorruptCheckpointError

FORMAT = 1
ENCRYPTED = 1

KEYS = (
    "format",
    "run_key",
    "epoch",
    "step",
    "model_state_dict",
    "optimizer_state_dict",
    "scheduler_state_dict",
    "rng",
    "loss_sum",
    "history",
    "config",
    "numerics",
    "schema",
    "scaler",
)


def write_checkpoint(tree: Tree, file: Any) -> None:
    """Write a checkpoint's content to an open file, piece by piece: whole in memory it would be copied once more.

    Raise OSError if the file does.
    """
    try:
        torch.save(tree, file)
    except RuntimeError as error:  # torch tells that a write failed, but not why
        raise error.__context__ if isinstance(error.__context__, OSError) else error from None


def read_checkpoint(path: Path, expected_digest: str | None = None) -> Tree:
    """Read a checkpoint whole or raise CorruptCheckpointError saying what is wrong with it.

    `expected_digest` is the beginning of the SHA-256 of its content. Without one the checksums inside the
    file are verified, which torch itself leaves out.
    """
    if not path.is_file():
        raise CorruptCheckpointError(f"{path}: found no regular file")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if expected_digest is not None and not found.startswith(expected_digest):
        raise CorruptCheckpointError(
            f"{path}: found SHA-256 {found[: len(expected_digest)]}, expected {expected_digest}"
        )
    _verify_zip(content, path)
    try:
        tree = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CorruptCheckpointError(
            f"{path}: holds more than tensors and plain values, or is no checkpoint: {reason}"
        ) from error
    _check_keys(tree, path)
    return tree


def _verify_zip(content: bytes, path: Path) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            # Torch neither compresses nor encrypts: a part that says so is damaged, and no decompressor gets to see it.
            foreign = (each.filename for each in archive.infolist() if each.compress_type or each.flag_bits & ENCRYPTED)
            damaged = next(foreign, None) or archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError) as error:
        raise CorruptCheckpointError(
            f"{path}: found {len(content)} bytes that are no whole checkpoint: {error}"
        ) from error
    if damaged:
        raise CorruptCheckpointError(f"{path}: the checksum of {damaged} does not fit its content")


def _check_keys(tree: Any, path: Path) -> None:
    if not isinstance(tree, dict) or "format" not in tree:
        raise CheckpointMismatchError(f"{path}: not one of ours: found no `format`. Give it to torch.load instead")
    if tree["format"] != FORMAT:
        raise CheckpointMismatchError(
            f"{path}: found checkpoint format {tree['format']!r}, expected {FORMAT}. Use the version of unbroken that wrote it"
        )
    if missing := [key for key in KEYS if key not in tree]:
        raise CorruptCheckpointError(f"{path}: found no {', '.join(missing)}")
