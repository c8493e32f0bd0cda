"""Checkpoints whose content is odd, wrong or hostile, under a digest that fits: the same for the same seed."""

import copy
import io
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tests.contract import encoded
from unbroken.checkpoints.tree import Tree

Draw = random.Random
NUMBERS = (float("nan"), float("inf"), -float("inf"), 10**400, -(10**80), complex(1, 2))
OTHERS: tuple[Any, ...] = (
    None,
    True,
    "1",
    "",
    "\x1b[31m\n",
    b"1",
    [],
    {},
    (),
    {1, 2},
    [[]],
    {"a": {"b": None}},
    -1,
    0.5,
)
TYPES = (
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.bool,
    torch.complex64,
    torch.uint8,
    torch.uint16,
)


@dataclass(frozen=True)
class Mutated:
    """A checkpoint with one change.

    Attributes:
        change: The change and its place.
        content: The bytes of the file.
        plausible: Whether the content could be that of another training, so that nothing can tell it from a whole one.
    """

    change: str
    content: bytes
    plausible: bool


def mutated(tree: Tree, seed: int) -> Mutated:
    """Return a checkpoint with one change, drawn by a seed: to its values, one in four to the pickle of its bytes."""
    draw = Draw(seed)
    if seed % 4 == 3:
        return _odd_pickle(encoded(tree), draw)
    tree = _changeable(tree)
    place, holder, key = _place(tree, draw)
    change, replacement = draw.choice(CHANGES)(holder[key], tree, draw)
    plausible = _is_alike(holder[key], replacement)
    if change == "delete":
        del holder[key]
    elif isinstance(holder, dict) and draw.random() < 0.1:
        change, key = f"add {change}", f"{key}!" if isinstance(key, str) else 10**6
        plausible = plausible or holder is tree or "param_groups" in place  # where keys may be added
        holder[key] = replacement
    else:
        holder[key] = replacement
    buffer = io.BytesIO()
    torch.save(_as_before(tree), buffer)
    return Mutated(f"{place}: {change}", buffer.getvalue(), plausible)


def _place(tree: Tree, draw: Draw) -> tuple[str, Any, Any]:
    """Return a place at any depth, each key of a container as likely as another: its name, what holds it, and its key."""
    holder: Any = tree
    key, name = draw.choice(list(tree)), ""
    while True:
        name = f"{name}.{key}"
        value = holder[key]
        if not (isinstance(value, dict | list) and value) or draw.random() < 0.15:
            return name, holder, key
        holder, key = value, draw.choice(list(value) if isinstance(value, dict) else range(len(value)))


class Changeable(list[Any]):
    """A tuple that can be changed."""


def _changeable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _changeable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return (list if isinstance(value, list) else Changeable)(map(_changeable, value))
    return copy.deepcopy(value)


def _as_before(value: Any, depth: int = 0) -> Any:
    """Return a tree with its tuples as such again, as far down as a checkpoint has some."""
    if depth > 12:
        return value
    if type(value) is dict:
        return {key: _as_before(inner, depth + 1) for key, inner in value.items()}
    if type(value) is Changeable:
        return tuple(_as_before(inner, depth + 1) for inner in value)
    if type(value) is list and 0 < len(value) < 20:
        value[:] = [_as_before(inner, depth + 1) for inner in value]
    return value


Change = Callable[[Any, Tree, Draw], tuple[str, Any]]


def _delete(value: Any, _: Tree, __: Draw) -> tuple[str, Any]:
    return "delete", None


def _number(_: Any, __: Tree, draw: Draw) -> tuple[str, Any]:
    number = draw.choice(NUMBERS)
    return f"the number {str(number)[:9]}", number


def _retyped(value: Any, _: Tree, draw: Draw) -> tuple[str, Any]:
    others = [
        *OTHERS,
        torch.zeros(()),
        torch.ones(2, 3),
        torch.zeros(0),
        str(value)[:99],
        [value],
        (value, value),
        {"a": value},
    ]
    other = draw.choice(others)
    return f"retyped to {type(other).__name__} {str(other)[:20]!r}", other


def _tensor(value: Any, tree: Tree, draw: Draw) -> tuple[str, Any]:
    if not isinstance(value, Tensor):
        return _retyped(value, tree, draw)
    dtype = draw.choice(TYPES)
    zero = torch.zeros((), dtype=value.dtype)
    choices: list[tuple[str, Any]] = [
        (f"as {dtype}", value.to(dtype)),
        ("longer", torch.cat([value.reshape(-1), value.reshape(-1), zero.reshape(1)])),
        ("one more dimension", value[None]),
        ("empty", value.reshape(-1)[:0]),
        ("repeated without memory", zero.expand(1 << 40)),
        ("repeated in many dimensions", zero.expand([1 << 10] * 6)),
        ("a sparse one", torch.zeros(3, 3).to_sparse()),
        ("a parameter", torch.nn.Parameter(torch.zeros(2))),
        ("without memory", torch.empty(3, device="meta")),
        ("a number", value.sum().item()),
        ("a list", value.reshape(-1)[:20].tolist()),
        ("not finite", torch.full_like(value, float("nan")) if value.is_floating_point() else float("nan")),
    ]
    return draw.choice(choices)


def _nested(value: Any, _: Tree, draw: Draw) -> tuple[str, Any]:
    kind, depth = draw.choice((list, dict)), draw.choice((1, 3, 100))
    for _step in range(depth):
        value = [value] if kind is list else {"a": value}
    return f"{depth} deep in {kind.__name__}s", value


def _itself(value: Any, tree: Tree, draw: Draw) -> tuple[str, Any]:
    many: list[Any] = [value]
    for _step in range(40):
        many = [many, many]
    own: list[Any] = []
    own.append(own)
    return draw.choice((("many times", many), ("itself", own), ("the whole", {"a": tree})))


def _swapped(value: Any, tree: Tree, draw: Draw) -> tuple[str, Any]:
    place, holder, key = _place(tree, draw)
    other, holder[key] = holder[key], value
    return f"swapped with {place}", other


def _resized(value: Any, tree: Tree, draw: Draw) -> tuple[str, Any]:
    if isinstance(value, list) and value:
        return draw.choice((("shorter", value[:-1]), ("longer", value * 2), ("much longer", value[:1] * 10_000)))
    if isinstance(value, dict) and value:
        first = next(iter(value))
        return draw.choice(
            (
                ("one less", {k: v for k, v in value.items() if k != first}),
                ("other keys", dict(enumerate(value.values()))),
            )
        )
    return _tensor(value, tree, draw)


CHANGES: tuple[Change, ...] = (
    _delete, _delete, _number, _retyped, _retyped, _tensor, _tensor, _nested, _itself, _swapped, _resized,
)  # fmt: skip


def _is_alike(value: Any, other: Any) -> bool:
    """Tell whether one value could stand where another one does, as far as their kinds and shapes say."""
    if isinstance(value, Tensor) and isinstance(other, Tensor):
        alike = (value.dtype, value.shape) == (other.dtype, other.shape)
        return alike and bool(other.isfinite().all() if other.device.type == "cpu" and other.numel() < 1e6 else True)
    if isinstance(value, dict | list) and isinstance(other, dict | list):
        return type(value) is type(other) and len(value) == len(other)
    numbers = isinstance(value, float) and type(other) in (int, float)
    return type(value) is type(other) or numbers


def _odd_pickle(content: bytes, draw: Draw) -> Mutated:
    """Return a checkpoint with other bytes in its pickle, and checksums that fit."""
    result = io.BytesIO()
    change = draw.choice(("flip", "flip", "cut", "insert", "part", "claim"))
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(result, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            if name.endswith("data.pkl") and change != "part":
                part = _changed(part, change, draw)
            elif change == "part" and "/data/" in name and draw.random() < 0.2:
                part = draw.choice((part[:-1], part * 2, b"", bytes(100)))
            new.writestr(name, part)
    return Mutated(f"pickle: {change}", result.getvalue(), plausible=True)


def _changed(pickled: bytes, change: str, draw: Draw) -> bytes:
    place = draw.randrange(len(pickled))
    if change == "cut":
        return pickled[:place]
    if change == "insert":
        odd = (
            b"\x8c\x01a",
            b"cos\nsystem\n",
            b"2",
            b"b",
            b"\x81",
            b"0",
            b"R",
            b"Q",
            b"]",
            b"a",
            b"r\xff\xff\xff\xff",
            b"\x8e" + b"\xff" * 8,
        )
        return pickled[:place] + draw.choice(odd) + pickled[place:]
    if change == "claim":  # sizes and strides are one or two bytes: the largest numbers in their place
        small = [index for index in range(len(pickled) - 1) if pickled[index : index + 1] == b"K"]
        index = draw.choice(small)
        return pickled[:index] + b"J" + draw.choice((b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff")) + pickled[index + 2 :]
    flipped = bytearray(pickled)
    for _ in range(draw.choice((1, 1, 3))):
        flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
    return bytes(flipped)
