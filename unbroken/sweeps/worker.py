"""A process that trains trials: python -m unbroken.sweeps.worker DESCRIPTOR, the sweep and then numbers on standard input."""

import io
import logging
import os
import queue
import signal
import sys
import threading
from dataclasses import asdict, dataclass

from unbroken.engines.messages import ERROR, OS_ERROR, RESULT, Channel, ChannelHandler
from unbroken.errors import UnbrokenError
from unbroken.storage.artifact import from_json
from unbroken.sweeps.sweep import Sweep

FAILED = 1


@dataclass(frozen=True, kw_only=True)
class Work:
    """The sweep, and where the process finds modules."""

    sweep: Sweep
    paths: tuple[str, ...]


def main() -> int:
    """Train one trial after another until there are no more, and return the exit code."""
    channel = Channel(int(sys.argv[1]))
    starter = os.fdopen(
        os.dup(sys.stdin.fileno()), "rb", buffering=0
    )  # a buffered one is locked while a thread waits on it
    work = from_json(Work, starter.readline(), "work")
    sys.path[:] = work.paths
    trials: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(starter, trials), name="starter-watch", daemon=True).start()
    library = logging.getLogger("unbroken")
    library.addHandler(ChannelHandler(channel))
    library.setLevel(logging.WARNING)
    library.propagate = False
    return _train(work.sweep, trials, channel)


def _train(sweep: Sweep, trials: "queue.SimpleQueue[int | None]", channel: Channel) -> int:
    from unbroken.sweeps.shared_data import SharedData  # noqa: PLC0415 (torch, after the paths are set)
    from unbroken.sweeps.study import Study  # noqa: PLC0415
    from unbroken.sweeps.trial import run_trial  # noqa: PLC0415

    study = Study(config=sweep.config, space=sweep.space, key=sweep.key)
    data = SharedData(sweep)
    try:
        while (trial := trials.get()) is not None:
            outcome = run_trial(sweep, study, data, trial, sweep.journal.read(), lambda _: None)
            channel.send(RESULT, **asdict(outcome))
    except UnbrokenError as error:
        channel.send(ERROR, name=type(error).__name__, message=str(error))
        return FAILED
    except OSError as error:
        channel.send(OS_ERROR, number=error.errno, message=error.strerror or str(error), path=error.filename)
        return FAILED
    return 0


def _listen(starter: io.RawIOBase, trials: "queue.SimpleQueue[int | None]") -> None:
    """Take up numbers; once the process that started this one is gone, end, and ask a training to save first."""
    while line := starter.readline():
        trials.put(int(line))
    trials.put(None)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
