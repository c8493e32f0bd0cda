"""Threads of torch's for predictions: they compute with as many cores as the training did, whatever the process has set.

How many threads torch computes with, and whether it takes the smallest numbers for 0, are kept for each thread, and the bits
of a prediction depend on them. So it is computed in a thread that was made for it. What torch keeps once a process, its
deterministic mode and its random generators, a prediction does not touch: what that mode changes on a processor, sums that
several threads add up in the order in which they come, it computes in one thread, as the mode does.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from unbroken.reproducibility.determinism import flush_denormals, set_own_threads

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

LOCAL = threading.local()
SUMS = (Tensor.index_put_, Tensor.index_put, torch.index_put_, torch.index_put, Tensor.put_, Tensor.put, torch.put)
"""What torch on a processor computes in another way in its deterministic mode: the threads add to one place in any order."""


class InOrder(TorchFunctionMode):
    """In the thread that enters it, lets torch add up in the order of its deterministic mode, which is not set."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Call a function of torch, one that adds up in one thread."""
        if func not in SUMS:
            return func(*args, **(kwargs or {}))
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return func(*args, **(kwargs or {}))
        finally:
            torch.set_num_threads(threads)


def compute(
    threads: int, function: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs
) -> Result:
    """Return what a function gives in a thread where torch computes with so many threads; one call at a time."""
    if getattr(LOCAL, "threads", None) == threads:  # a model that asks another one
        return function(*arguments, **options)
    return _thread_for(threads).submit(function, *arguments, **options).result()


def compute_in_order(
    threads: int, function: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs
) -> Result:
    """Return what `compute` does for a function that may add up as `SUMS` do."""

    def in_order() -> Result:
        with InOrder():
            return function(*arguments, **options)

    return compute(threads, in_order)


@lru_cache
def _thread_for(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="prediction", initializer=_begin, initargs=(threads,))


os.register_at_fork(after_in_child=_thread_for.cache_clear)  # the child has none of the threads


def _begin(threads: int) -> None:
    LOCAL.threads = threads
    set_own_threads(threads)
    flush_denormals(threads)
