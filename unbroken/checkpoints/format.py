"""Checkpoint format 1: what is in a file, as bytes that are equal whenever the content is.

`torch.load(path, weights_only=True)` reads it and gives a dict with the keys of KEYS. It holds no clock, path or
count of restarts. Nothing is ever unpickled beyond tensors and plain values, so a foreign file cannot run code.
"""

import hashlib
import io
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import torch
from torch import Tensor

from unbroken.checkpoints.tree import Tree
from unbroken.errors import CheckpointMismatchError, CorruptCheckpointError

FORMAT = 1
ENCRYPTED = 1


@dataclass(frozen=True, slots=True)
class Key:
    """What stands under a key of a checkpoint: of which types, what it means, and whether every file has it."""

    types: tuple[type, ...]
    meaning: str
    required: bool = True


KEYS: dict[str, Key] = {
    "format": Key((int,), "1"),
    "run_key": Key((str,), "16 hexadecimal digits, the name of the run"),
    "epoch": Key((int,), "finished epochs"),
    "step": Key((int,), "optimizer steps since the beginning"),
    "model_state_dict": Key((dict,), "the weights that were evaluated and are to be used: tensors by name"),
    "optimizer_state_dict": Key((dict,), "the optimizer's moments and parameter groups, as torch gives them"),
    "scheduler_state_dict": Key((dict, NoneType), "the learning rate schedule, if there is one"),
    "rng": Key((dict,), "`torch`: the state of torch's generator; `cuda`: a list of those of the devices"),
    "loss_sum": Key((Tensor,), "float64 scalar: the losses of the rows of the unfinished epoch, added up"),
    "history": Key((list,), "a dict of floats per finished epoch: `epoch`, `learning_rate`, `loss`, `test_loss`, ..."),
    "config": Key((dict,), "the settings that decide the weights"),
    "numerics": Key(
        (dict,), "`torch` (version), `cpu` (instruction set), `device`, `threads`: what the bits depend on too"
    ),
    "schema": Key((dict,), "`features` (name and kind each), `label`, `task`, `classes`"),
    "scaler": Key(
        (dict,), "the fitted encoder: ranges and fill values of numbers, codes of categories, scale of the label"
    ),
    "hooks": Key((dict,), "what each hook with a name remembers", required=False),
    "trained_state_dict": Key((dict,), "the weights to train on with, where others are published", required=False),
}
"""All keys of a checkpoint."""


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
    return path.read_bytes()


def check_digest(path: Path, digest: str, expected: str) -> None:
    """Raise CorruptCheckpointError unless a SHA-256 begins with the expected digits."""
    if not digest.startswith(expected):
        raise CorruptCheckpointError(f"{path}: found SHA-256 {digest[: len(expected)]}, expected {expected}")


def decode(content: bytes, path: Path) -> Tree:
    """Return what the bytes of a file hold; raise as `read_with_digest` does."""
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
            foreign = (part.filename for part in archive.infolist() if part.compress_type or part.flag_bits & ENCRYPTED)
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
    if missing := [name for name, key in KEYS.items() if key.required and name not in tree]:
        raise CorruptCheckpointError(f"{path}: found no {', '.join(missing)}")
    for name, key in KEYS.items():
        if name in tree and not isinstance(tree[name], key.types):
            kinds = " or ".join("None" if kind is NoneType else kind.__name__ for kind in key.types)
            raise CorruptCheckpointError(f"{path}: {name}: found {type(tree[name]).__name__}, expected {kinds}")
