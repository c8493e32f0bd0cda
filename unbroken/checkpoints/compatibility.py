"""Does a checkpoint fit the run and its objects? Refused is what torch would take without a word."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from unbroken.checkpoints.tree import Tree, beyond, differing_leaves, leaves
from unbroken.checkpoints.validation import shown
from unbroken.errors import CheckpointMismatchError

WAY_OUT = "It belongs to another run: move it away, or give the settings it was made with"


def check_belongs(tree: Tree, header: Tree, path: Path) -> None:
    """Raise CheckpointMismatchError, naming the first thing that differs, unless a checkpoint is of the run.

    `header` holds what the run would write for `run_key` and `config`.
    """
    for name, left, right in differing_leaves(tree["config"], header["config"], "config"):
        raise CheckpointMismatchError(f"{path}: {name}: found {shown(left)}, expected {shown(right)}. {WAY_OUT}")
    strange = beyond(tree["config"], header["config"], "config") or beyond(header["config"], tree["config"], "config")
    if strange:
        raise CheckpointMismatchError(f"{path}: {strange}: found other settings than the run has. {WAY_OUT}")
    if tree["run_key"] != header["run_key"]:
        raise CheckpointMismatchError(
            f"{path}: run_key: found {tree['run_key']}, expected {header['run_key']}: other data. {WAY_OUT}"
        )


def check_progress(tree: Tree, steps: int, metrics: Iterable[str], path: Path) -> None:
    """Raise CheckpointMismatchError unless a checkpoint stands where a run can be.

    Args:
        tree: The checkpoint.
        steps: Those of an epoch.
        metrics: The names that each entry of the history has, beside others.
        path: The file, for messages.
    """
    first = tree["epoch"] * steps
    if not first <= tree["step"] < first + steps:
        raise CheckpointMismatchError(
            f"{path}: step: found {tree['step']} after {tree['epoch']} epochs of {steps} steps, expected {first} .. "
            f"{first + steps - 1}. {WAY_OUT}"
        )
    if tree["step"] == first and tree["loss_sum"].item() != 0:
        raise CheckpointMismatchError(
            f"{path}: loss_sum: found {tree['loss_sum'].item()} at the end of an epoch, expected 0. {WAY_OUT}"
        )
    for index, entry in enumerate(tree["history"]):
        if missing := [name for name in metrics if name not in entry]:
            raise CheckpointMismatchError(
                f"{path}: history[{index}]: found {', '.join(entry)}, expected {missing[0]} too. {WAY_OUT}"
            )


def check_weights(found: Tree, model: nn.Module, name: str, way_out: str = WAY_OUT) -> None:
    """Raise CheckpointMismatchError naming the first tensor that does not fit a model, or holds a NaN or an infinity.

    Buffers of the user's own modules may hold those too: a mask does.
    """
    check_shapes(found, dict(model.state_dict()), name, way_out)
    free = _own_buffers(model)
    for key, value in found.items():
        if key not in free and isinstance(value, Tensor) and (bad := first_bad(value)) is not None:
            raise CheckpointMismatchError(f"{name}.{key}: found {bad}, expected finite weights. {way_out}")


def check_shapes(found: Any, expected: Any, name: str, way_out: str = WAY_OUT) -> None:
    """Raise CheckpointMismatchError naming the first tensor that is missing, not expected, or of another shape or type."""
    for key, one, other in differing_leaves(_shapes(found), _shapes(expected), name):
        raise CheckpointMismatchError(f"{key}: found {one}, expected {other}. {way_out}")


def first_bad(value: Tensor) -> complex | None:
    """Return the first element that is no finite number, None if all are."""
    if not (value.is_floating_point() or value.is_complex()) or value.isfinite().all():
        return None
    return value[~value.isfinite()].flatten()[0].item()


def _own_buffers(model: nn.Module) -> set[str]:
    own = [
        (prefix, module) for prefix, module in model.named_modules() if not type(module).__module__.startswith("torch.")
    ]
    return {
        f"{prefix}.{name}".removeprefix(".")
        for prefix, module in own
        for name, _ in module.named_buffers(recurse=False)
    }


def _shapes(tree: Any) -> dict[str, str]:
    tensors = {key: value for key, value in leaves(tree, "") if isinstance(value, Tensor)}
    return {key.removeprefix("."): f"{value.dtype} {list(value.shape)}" for key, value in tensors.items()}
