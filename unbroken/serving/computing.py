"""Threads of torch's for predictions: they compute with as many cores as the training did, whatever the process has set.

How many threads torch computes with, and whether it takes the smallest numbers for 0, are kept for each thread, and the bits
of a prediction depend on them. So it is computed in a thread that was made for it. What torch keeps once a process, its
deterministic mode and its random generators, a prediction neither needs nor touches.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import ParamSpec, TypeVar

from unbroken.training.determinism import flush_denormals, set_own_threads

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

LOCAL = threading.local()


def compute(
    threads: int, function: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs
) -> Result:
    """Return what a function gives in a thread where torch computes with so many threads; one call at a time."""
    if getattr(LOCAL, "threads", None) == threads:  # a model that asks another one
        return function(*arguments, **options)
    return _thread_for(threads).submit(function, *arguments, **options).result()


@lru_cache
def _thread_for(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="prediction", initializer=_begin, initargs=(threads,))


os.register_at_fork(after_in_child=_thread_for.cache_clear)  # the child has none of the threads


def _begin(threads: int) -> None:
    LOCAL.threads = threads
    set_own_threads(threads)
    flush_denormals(threads)
