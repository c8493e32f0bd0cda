"""Save in the background: training waits only to take the snapshot, and for the save before if that is still under way."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from types import TracebackType
from typing import Any


class BackgroundSaver:
    """Runs saves one at a time and in order; a failed save raises at the next one or at the end, never in silence."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[Any] | None = None

    def submit(self, save: Callable[[], None]) -> None:
        """Start a save once the one before is durable."""
        self.wait()
        self._pending = self._pool.submit(copy_context().run, save)

    def wait(self) -> None:
        """Return when the last save is durable; raise what it raised."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def __enter__(self) -> "BackgroundSaver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)
        try:
            self.wait()
        except OSError as failed:
            if error is None:
                raise
            error.add_note(f"The save before it failed too: {failed}")
