"""Does a checkpoint fit the run and its objects? Refused is what torch would take without a word."""

import itertools
import math
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from unbroken.checkpoints.tree import Tree, differing_leaves, leaves
from unbroken.errors import CheckpointMismatchError

WAY_OUT = "It belongs to another run: move it away, or give the settings it was made with"


def check_belongs(tree: Tree, header: Tree, expected: Tree, optimizer: Optimizer, path: Path) -> None:
    """Raise CheckpointMismatchError, naming the first thing that differs, unless the checkpoint fits the run and its objects.

    `header` holds what the run would write for `run_key` and `config`, `expected` a snapshot of its fresh state.
    """
    for name, left, right in differing_leaves(tree["config"], header["config"], "config"):
        raise CheckpointMismatchError(f"{path}: {name}: found {left!r}, expected {right!r}. {WAY_OUT}")
    if tree["run_key"] != header["run_key"]:
        raise CheckpointMismatchError(
            f"{path}: run_key: found {tree['run_key']}, expected {header['run_key']}: other data. {WAY_OUT}"
        )
    for part in ("model_state_dict", "scheduler_state_dict"):
        check_shapes(tree[part], expected[part], f"{path}: {part}")
    check_optimizer(tree, optimizer, path)
    check_finite(tree["model_state_dict"], f"{path}: model_state_dict")


def check_shapes(found: Any, expected: Any, name: str, way_out: str = WAY_OUT) -> None:
    """Raise CheckpointMismatchError naming the first tensor that is missing, not expected, or of another shape or type."""
    for key, one, other in differing_leaves(_shapes(found), _shapes(expected), name):
        raise CheckpointMismatchError(f"{key}: found {one}, expected {other}. {way_out}")


def check_finite(tree: Any, name: str) -> None:
    """Raise CheckpointMismatchError naming the first tensor that holds a NaN or an infinity."""
    for key, value in leaves(tree, name):
        if isinstance(value, Tensor) and value.is_floating_point() and not value.isfinite().all():
            raise CheckpointMismatchError(f"{key}: found {_first_bad(value)}, expected finite weights. {WAY_OUT}")


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
