"""Signals that ask a training to end."""

import signal
import threading
from types import FrameType

from unbroken.errors import StoppedError
from unbroken.storage.lock import log

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Set by SIGTERM or SIGINT while training, which then saves and ends; off the main thread it is never set."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._request) for number in heard}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # ty: ignore[invalid-argument-type]
        if self.signal is not None:
            log.info("stopped by %s; the checkpoint is saved", signal.Signals(self.signal).name)
            # Now that the checkpoint is durable, whoever listened before decides what the signal means.
            signal.raise_signal(self.signal)
            raise StoppedError(
                f"stopped by {signal.Signals(self.signal).name}; the checkpoint is saved, "
                f"run the same command again to go on"
            )

    def ask(self) -> None:
        """Ask as a signal would, where no process is to end by it."""
        self.signal = signal.SIGTERM

    def _request(self, number: int, _: FrameType | None) -> None:
        self.signal = number
