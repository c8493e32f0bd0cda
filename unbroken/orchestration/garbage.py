"""The cyclic garbage collector, kept away from what lasts as long as the process.

Prefect and torch are 300,000 such objects. Left alone, the collector goes over them again and again while they are
imported, and once more at exit, which is nearly a third of what a small job costs. (https://docs.python.org/3.11/library/gc.html)
"""

import atexit
import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Generator[None]:
    """Leave for good what is made within; afterwards the collector looks at what comes later, as ever."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def freeze_at_exit() -> None:
    """Do not search for garbage in a process that ends; what is registered to run at exit still does."""
    atexit.register(gc.freeze)
