"""Work done ahead in a thread, while the one before is still being used."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
END = object()


def prefetch(items: Iterator[Item], ahead: int = 2) -> Generator[Item]:
    """Yield the items of an iterator, in order, of which a thread computes so many ahead; its error is raised in its place.

    It pays where the work is done outside the interpreter's lock, as Arrow, numpy and file reads do it.

    Args:
        items: Used by that thread alone from now on; a generator is closed there too.
        ahead: How many items may wait, at least 1.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as pool:
        pending = deque(pool.submit(next, items, END) for _ in range(ahead))
        try:
            while (item := pending.popleft().result()) is not END:
                pending.append(pool.submit(next, items, END))
                yield item  # ty: ignore[invalid-yield]
        finally:
            for future in pending:
                future.cancel()
            if isinstance(items, Generator):
                # Closed in its own thread, after what is under way there, so that its files are closed at once.
                pool.submit(items.close).result()
