"""Read the pickle inside a checkpoint: plain values, and tensors of the file's own bytes.

`torch.load` gives the same for every whole checkpoint. Here each opcode and name is one of a list, and what a tensor claims
is held against the bytes that the file has, before anything is built: so nothing is called, and nothing becomes larger
than the file.
"""

import io
import math
import pickle
import pickletools
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unbroken.checkpoints.tree import clone

PICKLE, PARTS, BYTE_ORDER = "data.pkl", "data/", "byteorder"

OPCODES = {
    "PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE",
    "EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "GLOBAL", "REDUCE", "BINPERSID",
}  # fmt: skip
"""What `torch.save` writes of plain values and tensors."""

STORAGES = {
    f"{name}Storage": dtype
    for name, dtype in {
        "Float": torch.float32, "Double": torch.float64, "Half": torch.float16, "BFloat16": torch.bfloat16,
        "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
        "Bool": torch.bool, "ComplexFloat": torch.complex64, "ComplexDouble": torch.complex128,
    }.items()
}  # fmt: skip
"""Types that `torch.save` names by their storage."""

NEWER_TYPES = (
    "uint16", "uint32", "uint64", "complex32", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz",
    "float8_e8m0fnu",
)  # fmt: skip
"""Types that it names by themselves, beside a storage of bytes."""

DEEPEST = 64
"""How deep values may be nested."""

UNREADABLE = (pickle.UnpicklingError, EOFError, ArithmeticError, LookupError, TypeError, AttributeError, RuntimeError)
"""What else than a ValueError a pickle can end in whose opcodes and names are all known."""

Storage = tuple[bytes, torch.dtype, int]
"""Its bytes, the type and the number of its elements."""


def read_pickled(archive: zipfile.ZipFile) -> Any:
    """Return the value in an archive of `torch.save` whose checksums fit.

    Raises:
        ValueError: It holds more than tensors and plain values, or claims more than it has; says what.
    """
    names = archive.namelist()
    root = next((name.removesuffix(PICKLE) for name in names if name.endswith(f"/{PICKLE}")), None)
    if root is None or len(set(names)) < len(names):
        raise ValueError(f"found the parts {str(names)[:80]}, expected each once, and {PICKLE} among them")
    if f"{root}{BYTE_ORDER}" in names and archive.read(f"{root}{BYTE_ORDER}") != b"little":
        raise ValueError("found another byte order than little endian")
    pickled = archive.read(root + PICKLE)
    _check_opcodes(pickled)
    reader = _Reader(pickled, lambda key: archive.read(f"{root}{PARTS}{key}"), sum(_sizes(archive)))
    try:
        value = reader.load()
    except UNREADABLE as error:
        raise ValueError(str(error) or type(error).__name__) from error
    _check_plain(value, len(pickled))
    return value


def _sizes(archive: zipfile.ZipFile) -> list[int]:
    return [part.file_size for part in archive.infolist()]


def _check_opcodes(pickled: bytes) -> None:
    for opcode, argument, place in pickletools.genops(pickled):
        if opcode.name not in OPCODES:
            raise ValueError(f"found the opcode {opcode.name} at byte {place}")
        if isinstance(argument, int) and opcode.name == "LONG_BINPUT" and argument > len(pickled):  # takes memory
            raise ValueError(f"found {argument} as a place in the memo of {len(pickled)} bytes")


class _Reader(pickle.Unpickler):
    """Knows nothing but the names in `NAMES`, and the parts of the archive."""

    def __init__(self, pickled: bytes, part: Callable[[str], bytes], limit: int) -> None:
        super().__init__(io.BytesIO(pickled))
        self.part, self.left = part, limit
        self.names: dict[tuple[str, str], Any] = NAMES | {
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_tensor_v3"): self._tensor,
        }

    def find_class(self, module: str, name: str, /) -> Any:
        """Return what a name stands for here."""
        if (module, name) not in self.names:
            raise ValueError(f"found {module}.{name}")
        return self.names[module, name]

    def persistent_load(self, pid: Any, /) -> Storage:
        """Return the bytes of a tensor."""
        match pid:
            case ("storage", torch.dtype() as dtype, str(key), str(), int(count)):
                content = self.part(key)
                if count * dtype.itemsize != len(content):
                    raise ValueError(f"found {len(content)} bytes for {count} elements of {dtype} in part {key}")
                return content, dtype, count
        raise ValueError("found no storage where one belongs")

    def _tensor(
        self, storage: Any, offset: Any, size: Any, stride: Any, _: Any, hooks: Any, dtype: Any = None
    ) -> Tensor:
        content, own, count = _storage(storage)
        if dtype is not None:
            own, count = _newer_type(dtype), len(content) // _newer_type(dtype).itemsize
        _check_extent(offset, size, stride, count)
        if hooks:
            raise ValueError("found hooks of a tensor")
        self.left -= len(content)
        if self.left < 0:
            raise ValueError("found tensors that are more than the file")
        memory = torch.empty(len(content), dtype=torch.uint8)
        memory.numpy()[:] = np.frombuffer(content, np.uint8)
        tensor = torch.as_strided(memory.view(own), size, stride, offset)
        return tensor if tensor.is_contiguous() and tensor.numel() == count else clone(tensor)


def _storage(storage: Any) -> Storage:
    match storage:
        case (bytes() as content, torch.dtype() as dtype, int(count)):
            return content, dtype, count
    raise ValueError("found a tensor without a storage")


def _newer_type(dtype: Any) -> torch.dtype:
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"found {type(dtype).__name__} as the type of a tensor")
    return dtype


def _check_extent(offset: Any, size: Any, stride: Any, count: int) -> None:
    """Raise ValueError unless a tensor of that size lies inside its storage, no element of which it repeats."""
    lists = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= DEEPEST
    if not lists or not all(type(number) is int and number >= 0 for number in (offset, *size, *stride)):
        raise ValueError(f"found a tensor of size {str(size)[:80]} and stride {str(stride)[:80]}")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    elements = math.prod(size)
    if elements > count or (elements and last >= count):
        raise ValueError(f"found a tensor of size {str(size)[:80]} in {count} elements")


def _check_plain(value: Any, limit: int) -> None:
    """Raise ValueError unless a value is a tree of tensors and plain values, not too deep, and no larger than its pickle."""
    left, count = [(value, 0)], 0
    while left:
        value, depth = left.pop()
        count += 1
        if depth > DEEPEST or count > limit:
            raise ValueError(
                f"found values nested deeper than {DEEPEST}, or one that holds itself or others many times"
            )
        if isinstance(value, dict):
            if strange := [key for key in value if isinstance(key, Tensor)]:
                raise ValueError(f"found {len(strange)} tensors as keys")
            left += [(key, depth + 1) for key in value] + [(inner, depth + 1) for inner in value.values()]
        elif type(value) in (list, tuple):
            left += [(inner, depth + 1) for inner in value]
        elif value is not None and type(value) not in (str, int, float, bool, Tensor):
            raise ValueError(f"found a value of {type(value).__name__}")


NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): dict,
    ("torch.storage", "UntypedStorage"): torch.uint8,
    **{("torch", name): dtype for name, dtype in STORAGES.items()},
    **{("torch", name): getattr(torch, name) for name in NEWER_TYPES},
}
