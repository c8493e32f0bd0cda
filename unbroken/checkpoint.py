"""Checkpoint format 1: what is in a file, as bytes that are equal whenever the content is.

`torch.load(path, weights_only=True)` reads it and gives a dict with the keys of KEYS. It holds no clock, path or
count of restarts. Nothing is ever unpickled beyond tensors and plain values, so a foreign file cannot run code.
"""

import hashlib
import io
import itertools
import math
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from unbroken.errors import CheckpointMismatchError, CorruptCheckpointError
from unbroken.state import TrainState, Tree, canonical

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


def write(tree: Tree, file: Any) -> None:
    """Write a checkpoint's content to an open file, piece by piece: whole in memory it would be copied once more.

    Raise OSError if the file does.
    """
    try:
        torch.save(tree, file)
    except RuntimeError as error:  # torch tells that a write failed, but not why
        raise error.__context__ if isinstance(error.__context__, OSError) else error from None


def read(path: Path, expected_digest: str | None = None) -> Tree:
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


def check_belongs(tree: Tree, about: Tree, state: TrainState, path: Path) -> None:
    """Raise CheckpointMismatchError, naming the first thing that differs, unless the checkpoint fits the run and its objects.

    `about` holds what the run would write for `run_key` and `config`.
    """
    for name, found, expected in _differences(tree["config"], about["config"], "config"):
        raise CheckpointMismatchError(f"{path}: {name}: found {found!r}, expected {expected!r}. {WAY_OUT}")
    if tree["run_key"] != about["run_key"]:
        raise CheckpointMismatchError(
            f"{path}: run_key: found {tree['run_key']}, expected {about['run_key']}: other data. {WAY_OUT}"
        )
    expected_state = state.snapshot()
    for part in ("model_state_dict", "scheduler_state_dict"):
        check_shapes(tree[part], expected_state[part], f"{path}: {part}")
    check_optimizer(tree, state.optimizer, path)
    check_finite(tree["model_state_dict"], f"{path}: model_state_dict")


def check_shapes(found: Any, expected: Any, name: str) -> None:
    """Raise CheckpointMismatchError naming the first tensor that is missing, not expected, or of another shape or type."""
    for key, one, other in _differences(_shapes(found), _shapes(expected), name):
        raise CheckpointMismatchError(f"{key}: found {one}, expected {other}. {WAY_OUT}")


WAY_OUT = "It belongs to another run: move it away, or give the settings it was made with"


def check_finite(tree: Any, name: str) -> None:
    """Raise CheckpointMismatchError naming the first tensor that holds a NaN or an infinity."""
    for key, value in leaves(tree, name):
        if isinstance(value, Tensor) and value.is_floating_point() and not value.isfinite().all():
            raise CheckpointMismatchError(f"{key}: found {_first_bad(value)}, expected finite weights. {WAY_OUT}")


def leaves(tree: Any, name: str) -> list[tuple[str, Any]]:
    """Return every leaf of a tree with its dotted name."""
    if isinstance(tree, dict):
        return [leaf for key, inner in tree.items() for leaf in leaves(inner, f"{name}.{key}")]
    if isinstance(tree, list | tuple):
        return [leaf for place, inner in enumerate(tree) for leaf in leaves(inner, f"{name}[{place}]")]
    return [(name, tree)]


def numerics(device: str, threads: int) -> Tree:
    """Return what the bits of a training depend on beside the run: a resume elsewhere is exact only where these agree."""
    return canonical(
        {
            "torch": str(torch.__version__),
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
            "threads": threads,
        }
    )


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


def _differences(found: Any, expected: Any, name: str) -> list[tuple[str, Any, Any]]:
    here, there = dict(leaves(found, name)), dict(leaves(expected, name))
    keys = list(dict.fromkeys([*here, *there]))
    absent = "nothing"
    pairs = [(key, here.get(key, absent), there.get(key, absent)) for key in keys]
    return [(key, one, other) for key, one, other in pairs if one != other]


def _shapes(tree: Any) -> dict[str, str]:
    tensors = {key: value for key, value in leaves(tree, "") if isinstance(value, Tensor)}
    return {key.removeprefix("."): f"{value.dtype} {list(value.shape)}" for key, value in tensors.items()}


def check_optimizer(tree: Tree, optimizer: Optimizer, path: Path) -> None:
    """Raise CheckpointMismatchError unless the optimizer's state in a checkpoint fits the parameters of an optimizer.

    Torch accepts state of any shape here without a word, and fails or goes wrong many steps later.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for place, entries in tree["optimizer_state_dict"]["state"].items():
        for name, value in entries.items():
            if not isinstance(value, Tensor) or not value.dim():
                continue
            key = f"{path}: optimizer_state_dict.state.{place}.{name}"
            if place >= len(parameters):
                raise CheckpointMismatchError(f"{key}: found parameter {place}, expected {len(parameters)}. {WAY_OUT}")
            parameter = parameters[place]
            if value.dtype != parameter.dtype or not _fits(value, parameter):
                found, expected = (f"{part.dtype} {list(part.shape)}" for part in (value, parameter))
                raise CheckpointMismatchError(f"{key}: found {found}, expected {expected} as its parameter. {WAY_OUT}")
    for key, value in leaves(tree["optimizer_state_dict"], "optimizer_state_dict"):
        if isinstance(value, float) and not math.isfinite(value):
            raise CheckpointMismatchError(f"{path}: {key}: found {value}, expected a finite number. {WAY_OUT}")
    check_finite(tree["optimizer_state_dict"], f"{path}: optimizer_state_dict")


def _fits(value: Tensor, parameter: Tensor) -> bool:
    """Tell whether moments have the shape of their parameter, but for sizes of 1 where an optimizer keeps a mean."""
    pairs = itertools.zip_longest(value.shape, parameter.shape)
    return all(here in {there, 1} for here, there in pairs)


def _first_bad(value: Tensor) -> float:
    return value[~value.isfinite()].flatten()[0].item()
