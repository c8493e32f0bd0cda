"""Trees of tensors and plain values: copied so that equal content is equal bytes, and compared leaf by leaf."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unbroken.errors import CheckpointError

Tree = dict[str, Any]
"""Nested dicts, lists and tuples of tensors, numbers, texts and None."""


class Buffers:
    """The memory of one snapshot, for the next to use again: fresh memory costs more than the copying."""

    def __init__(self) -> None:
        self._before: Iterator[Tensor] = iter(())
        self._now: list[Tensor] = []

    def begin(self) -> Callable[[Tensor], Tensor]:
        """Return what copies tensors, one by one in the order of the snapshot before, to the CPU."""
        self._before, self._now = iter(self._now), []
        return self._copy

    def _copy(self, tensor: Tensor) -> Tensor:
        found = next(self._before, None)
        if found is not None and found.shape == tensor.shape and found.dtype == tensor.dtype:
            copied = found.copy_(tensor.detach())
        else:
            copied = clone(tensor)
        self._now.append(copied)
        return copied


def clone(tensor: Tensor) -> Tensor:
    """Return a copy on the CPU, in new memory of its own."""
    copied = tensor.detach().clone(memory_format=torch.contiguous_format).cpu()
    if type(copied) is not Tensor:
        raise _refusal(copied)
    return copied


def canonical(value: Any, copy: Callable[[Tensor], Tensor] = clone) -> Any:
    """Copy a tree so that equal content pickles to equal bytes.

    Pickle writes a second occurrence of the same object as a reference. Whether two equal texts are the
    same object depends on where they came from, and differs after a restart: so texts are interned,
    containers are new, and each tensor gets a storage of its own.

    Raises:
        CheckpointError: It holds something else, which could not be read back.
    """
    if isinstance(value, Tensor):
        return copy(value)
    if isinstance(value, str):
        return sys.intern(str(value))
    if isinstance(value, dict):
        return {canonical(key, copy): canonical(inner, copy) for key, inner in value.items()}
    if isinstance(value, list):
        return [canonical(inner, copy) for inner in value]
    if isinstance(value, tuple):
        return tuple([canonical(inner, copy) for inner in value])
    if isinstance(value, np.generic):
        return value.item()
    if value is None or type(value) in (bool, int, float):
        return value
    raise _refusal(value)


def _refusal(value: Any) -> CheckpointError:
    return CheckpointError(
        f"found a value of {type(value).__name__} to be kept in a checkpoint, expected tensors and plain values: numbers, "
        f"texts, None, and dicts, lists and tuples of these"
    )


def leaves(tree: Any, name: str) -> list[tuple[str, Any]]:
    """Return every leaf of a tree with its dotted name."""
    if isinstance(tree, dict):
        return [leaf for key, inner in tree.items() for leaf in leaves(inner, f"{name}.{key}")]
    if isinstance(tree, list | tuple):
        return [leaf for index, inner in enumerate(tree) for leaf in leaves(inner, f"{name}[{index}]")]
    return [(name, tree)]


def differing_leaves(left: Any, right: Any, name: str) -> list[tuple[str, Any, Any]]:
    """Return the name and both values of each leaf in which two trees differ by at least a bit; "nothing" where one has none."""
    values, others = dict(leaves(left, name)), dict(leaves(right, name))
    keys = dict.fromkeys([*values, *others])
    pairs = [(key, values.get(key, "nothing"), others.get(key, "nothing")) for key in keys]
    return [pair for pair in pairs if _bits(pair[1]) != _bits(pair[2])]


def beyond(tree: Any, other: Any, name: str) -> str | None:
    """Return the name of the first part of a tree that another one lacks or has as something else; lists count as tuples."""
    if isinstance(tree, dict) and isinstance(other, dict):
        pairs = [(f"{name}.{key}", inner, other.get(key, ...)) for key, inner in tree.items()]
    elif isinstance(tree, list | tuple) and isinstance(other, list | tuple) and len(tree) == len(other):
        pairs = [(f"{name}[{index}]", *pair) for index, pair in enumerate(zip(tree, other, strict=True))]
    else:
        return None if _bits(tree) == _bits(other) else name
    return next((part for pair in pairs if (part := beyond(pair[1], pair[2], pair[0]))), None)


def _bits(value: Any) -> object:
    if isinstance(value, Tensor):
        return str(value.dtype), tuple(value.shape), value.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
    return repr(value)
