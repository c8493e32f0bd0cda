"""Save in the background: training waits only to take the snapshot, and for the save before if that is still under way."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import Any

log = logging.getLogger(__name__)
Save = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Pending:
    save: Save
    future: Future[Any]
    required: bool


class BackgroundWriter:
    """Runs saves one at a time and in order, and never lets one fail in silence.

    An OSError, such as that of a full disk, may pass: the next save makes up for the one that failed. If that one is
    required and fails too, the error is raised. Each save writes a whole new file, so what an fsync refused to make
    durable is never relied on.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: _Pending | None = None
        self._failed = False

    def submit(self, save: Save, *, required: bool) -> None:
        """Start a save once the one before has ended, as `settle` does."""
        self.settle()
        self._pending = _Pending(save, self._pool.submit(copy_context().run, save), required)

    @property
    def busy(self) -> bool:
        """Whether a save is under way."""
        return self._pending is not None and not self._pending.future.done()

    def settle(self) -> None:
        """Return when no save is under way; raise an error of the last if it was required and the one before it failed."""
        if (ended := self._take()) is not None:
            self._judge(ended)

    def wait(self) -> None:
        """Return when the last save is durable; raise its error if it fails twice."""
        if (ended := self._take()) is not None:
            try:
                ended.future.result()
            except OSError as error:
                log.warning("the last save failed: %s; trying once more", error)
                ended.save()

    def _judge(self, ended: _Pending) -> None:
        try:
            ended.future.result()
            self._failed = False
        except OSError as error:
            if self._failed and ended.required:
                raise
            self._failed = True
            log.warning("a save failed: %s; training goes on, and the next save makes up for it", error)

    def _take(self) -> _Pending | None:
        ended, self._pending = self._pending, None
        return ended

    def __enter__(self) -> "BackgroundWriter":
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
            error.add_note(f"The last save failed too: {failed}")
