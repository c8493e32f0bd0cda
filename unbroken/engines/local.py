"""Ranks as processes on this machine, all started again from the newest checkpoint where one of them dies."""

import contextlib
import logging
import queue
import signal
import time
from datetime import timedelta

from torch import distributed

from unbroken.engines.messages import LOST, Job
from unbroken.engines.outcome import Outcome
from unbroken.engines.process import Messages, end_rank, ending, loopback_of, start_rank
from unbroken.parallel.group import LostRankError
from unbroken.parallel.place import OWN_STORE
from unbroken.stages.results import Checkpoint
from unbroken.storage.journal import Journal
from unbroken.training.progress import Report
from unbroken.training.signals import StopRequest

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
LOOK, GRACE, STOPPING = 0.2, 10.0, 90.0
"""Seconds: between two looks at the ranks, that the others have once one has ended, and that all have to save and stop."""


def train(job: Job, report: Report) -> Checkpoint:
    """Train in `compute.workers` processes; see `engines.training.train`.

    Raises:
        LostRankError: Ranks died more often than `compute.restarts`.
    """
    config = job.config
    for restart in range(config.compute.restarts + 1):
        try:
            return _attempt(job, restart, report)
        except LostRankError as error:
            left = config.compute.restarts - restart
            Journal(job.run.journal).append("rank lost", reason=str(error))
            if not left:
                raise
            log.warning("%s; all %d are started again, %d times more", error, config.compute.workers, left)
    raise AssertionError("the last attempt returns or raises")


def _attempt(job: Job, restart: int, report: Report) -> Checkpoint:
    size = job.config.compute.workers
    with StopRequest() as stop, contextlib.closing(_Ranks(job, restart)) as ranks:
        ended = None
        while (lasting := ranks.look(report)) > 0:
            if stop.signal is not None and not ranks.stopping:
                ranks.stop()
            if lasting < size and ended is None:
                ended = time.monotonic()
            limit = STOPPING if ranks.stopping else GRACE
            if ended is not None and time.monotonic() - ended > limit:
                break  # closing kills them
        if stop.signal is None:
            return ranks.outcome()
    raise AssertionError("a request to stop ends in an exception")


class _Ranks:
    """The processes of one attempt."""

    def __init__(self, job: Job, restart: int) -> None:
        size = job.config.compute.workers
        self.store = distributed.TCPStore(
            HOST, 0, is_master=True, timeout=timedelta(seconds=GRACE), wait_for_workers=False
        )
        self.messages = Messages()
        self.told = Outcome()
        self.stopping = False
        shared = {
            "WORLD_SIZE": str(size),
            "LOCAL_WORLD_SIZE": str(size),
            "MASTER_ADDR": HOST,
            "MASTER_PORT": str(self.store.port),
            "TORCHELASTIC_RESTART_COUNT": str(restart),
            OWN_STORE: "True",
            **loopback_of(HOST),
        }
        places = [{"RANK": str(rank), **shared} for rank in range(size)]
        self.processes = [start_rank(job, place, self.messages) for place in places]

    def look(self, report: Report) -> int:
        """Take up what the ranks tell, for a moment; return how many of them are still running."""
        with contextlib.suppress(queue.Empty):
            self.told.take(self.messages.get(timeout=LOOK), report)
            while True:
                self.told.take(self.messages.get_nowait(), report)
        return sum(process.poll() is None for process in self.processes)

    def stop(self) -> None:
        """Ask all ranks to save and end."""
        self.stopping = True
        for process in self.processes:
            process.send_signal(signal.SIGTERM)

    def outcome(self) -> Checkpoint:
        """Return what the ranks came to; raise what ended them, LostRankError if that is the death of one."""
        self.close()
        self.look(lambda _: None)
        checkpoint = self.told.require_checkpoint()
        codes = {rank: process.returncode for rank, process in enumerate(self.processes)}
        lost = {rank: code for rank, code in codes.items() if code}
        if not lost and checkpoint is not None:
            return checkpoint
        # The one that the others lost; of those that were killed here nothing is known.
        rank, code = next(((rank, code) for rank, code in lost.items() if code != LOST), (0, LOST))
        raise LostRankError(f"rank {rank} of {len(codes)} {ending(code)}")

    def close(self) -> None:
        """Kill what still runs."""
        for process in self.processes:
            end_rank(process)
