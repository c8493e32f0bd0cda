"""One rank of a training, as `engines.process` starts it: python -m unbroken.engines.rank DESCRIPTOR, the job on standard input."""

import io
import logging
import os
import signal
import sys
import threading
from contextlib import nullcontext

from unbroken.engines.messages import ERROR, LOST, OS_ERROR, RESULT, Channel, ChannelHandler, Job
from unbroken.errors import UnbrokenError
from unbroken.storage.artifact import from_json

FAILED = 1


def main() -> int:
    """Train, tell what came of it, and return the exit code."""
    channel = Channel(int(sys.argv[1]))
    starter = os.fdopen(
        os.dup(sys.stdin.fileno()), "rb", buffering=0
    )  # a buffered one is locked while a thread waits on it
    job = from_json(Job, starter.readline(), "job")
    sys.path[:] = job.paths
    threading.Thread(target=_end_with, args=(starter, job.saves_alone), name="starter-watch", daemon=True).start()
    library = logging.getLogger("unbroken")
    library.addHandler(ChannelHandler(channel))
    library.propagate = False
    return _train(job, channel)


def _train(job: Job, channel: Channel) -> int:
    from unbroken.engines.training import require_alike  # noqa: PLC0415 (torch, after the paths are set)
    from unbroken.parallel.gloo import joined  # noqa: PLC0415
    from unbroken.parallel.group import Alone, LostRankError  # noqa: PLC0415
    from unbroken.parallel.place import Place  # noqa: PLC0415
    from unbroken.stages.train import train  # noqa: PLC0415
    from unbroken.storage.lock import wait_until_free  # noqa: PLC0415

    place = Place.of(os.environ)  # None for one rank alone
    first = place is None or place.rank == 0
    logging.getLogger("unbroken").setLevel(logging.INFO if first else logging.WARNING)
    report = channel.report if first else (lambda _: None)
    try:
        with nullcontext(Alone()) if place is None else joined(place) as group:
            require_alike(group, job.config)
            if first:
                wait_until_free(job.run.path, job.wait)
            checkpoint = train(job.config, job.splits, job.encoder, job.run, report, group=group)
        channel.send(
            RESULT, path=checkpoint.path, digest=checkpoint.digest, epoch=checkpoint.epoch, step=checkpoint.step
        )
    except UnbrokenError as error:
        channel.send(ERROR, name=type(error).__name__, message=str(error))
        return FAILED
    except LostRankError as error:
        logging.getLogger(__name__).warning("%s", error)
        return LOST
    except OSError as error:
        channel.send(OS_ERROR, number=error.errno, message=error.strerror or str(error), path=error.filename)
        return FAILED
    return 0


def _end_with(starter: io.RawIOBase, saves_alone: bool) -> None:
    """Once the process that started it is gone, ask the training to save and end; where it may not, end it at once."""
    while starter.read(1):
        pass
    os.kill(os.getpid(), signal.SIGTERM if saves_alone else signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
