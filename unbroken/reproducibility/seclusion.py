"""Python's and NumPy's global generators for one thread alone.

They belong to all threads of a process, and some draw at moments of their own: Prefect's connection for events takes a
number from `random` every ten or twenty seconds. So while a model is built or trained, the functions of `random` and
`numpy.random` draw in all other threads from copies, which take the place of the global ones afterwards. Out of reach is
what another thread took out of these modules before, as by `from random import random`.
"""

import copy
import os
import random
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import wraps
from types import ModuleType
from typing import Any

import numpy as np

Function = Callable[..., Any]
PYTHON: Any = random.random.__self__
NUMPY: Any = np.random.random.__self__
INDIRECT = {"seed": "seed", "sample": "random_sample", "ranf": "random_sample"}
"""The functions of `numpy.random` that only call a method of its generator, with that method."""


class _Generators:
    """The global generators of Python and NumPy, copied."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        """The one that made the copies, and draws from the global ones."""
        self.python, self.numpy = copy.copy(PYTHON), copy.deepcopy(NUMPY)

    def become_global(self) -> None:
        """Let the global ones go on from where these are."""
        PYTHON.setstate(self.python.getstate())
        NUMPY.set_state(self.numpy.get_state(legacy=False))


class _Process:
    """What all threads of this process but one draw from; None while they draw from the global generators."""

    def __init__(self) -> None:
        self.others: _Generators | None = None


PROCESS = _Process()
os.register_at_fork(after_in_child=lambda: setattr(PROCESS, "others", None))  # the one thread may not be in the child


@contextmanager
def drawing_alone() -> Generator[None]:
    """Let no other thread draw from the global generators; afterwards they are as if this thread had drawn nothing either.

    One thread at a time may do so; inside, it may again.
    """
    before = _Generators()
    if PROCESS.others is not None:
        try:
            yield
        finally:
            before.become_global()
        return
    PROCESS.others = before
    functions = list(_functions())
    for module, name, _, parted in functions:
        setattr(module, name, parted)
    try:
        yield
    finally:
        PROCESS.others = None
        before.become_global()
        for module, name, function, _ in functions:
            setattr(module, name, function)


def _functions() -> Iterator[tuple[ModuleType, str, Function, Function]]:
    """Yield the module and name of each function that draws from a global generator, the function, and what stands for it."""
    for name, function in vars(random).items():
        if getattr(function, "__self__", None) is PYTHON:
            yield random, name, function, _parted(function, "python", name)
    for name, function in vars(np.random).items():
        if getattr(function, "__self__", None) is NUMPY or name in INDIRECT:
            yield np.random, name, function, _parted(function, "numpy", INDIRECT.get(name, name))


def _parted(function: Function, kind: str, method: str) -> Function:
    """Return a function that draws from the global generator in one thread, and in all others from theirs."""

    @wraps(function)
    def draw(*args: Any, **kwargs: Any) -> Any:
        others = PROCESS.others
        if others is None or others.thread == threading.get_ident():
            return function(*args, **kwargs)
        return getattr(getattr(others, kind), method)(*args, **kwargs)

    return draw
