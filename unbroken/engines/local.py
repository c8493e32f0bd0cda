"""Ranks as processes on this machine, all started again from the newest checkpoint where one of them dies."""

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from torch import distributed

from unbroken.config import Config
from unbroken.data.dataset import SplitDatasets
from unbroken.engines.messages import ERROR, LOG, LOST, OS_ERROR, PROGRESS, RESULT, Job
from unbroken.engines.training import require_cpu
from unbroken.errors import ConfigError, UnbrokenError, error_of
from unbroken.parallel.group import LostRankError
from unbroken.parallel.place import OWN_STORE
from unbroken.run import Run
from unbroken.stages.results import Checkpoint
from unbroken.storage.artifact import Artifact, to_json
from unbroken.storage.journal import Journal
from unbroken.training.hooks import TrainHook
from unbroken.training.last_step import LastStep
from unbroken.training.progress import Progress, Report
from unbroken.training.signals import StopRequest

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
LOOPBACK = "lo" if sys.platform == "linux" else "lo0"
LOOK, GRACE, STOPPING = 0.2, 10.0, 90.0
"""Seconds: between two looks at the ranks, that the others have once one has ended, and that all have to save and stop."""


def train(
    config: Config, splits: SplitDatasets, encoder: Artifact, run: Run, report: Report, hooks: Sequence[TrainHook]
) -> Checkpoint:
    """Train in `compute.workers` processes; see `engines.training.train`.

    Raises:
        LostRankError: Ranks died more often than `compute.restarts`.
        ConfigError: There are hooks, which cannot be sent to other processes, or another device than the processor.
    """
    # A hook that watches for a step that kills its process again and again has none to watch here: restarts are limited.
    if others := [type(hook).__name__ for hook in hooks if not isinstance(hook, LastStep)]:
        raise ConfigError(
            f"compute.workers: found {config.compute.workers} with the hooks {', '.join(others)}, expected 1: hooks live in this "
            f"process. Start the ranks by torchrun, and give each its hooks by unbroken.train(config, hooks=..., group=...)"
        )
    require_cpu(config, config.compute.workers)
    job = Job(config=config, splits=splits, encoder=encoder, run=run, paths=tuple(sys.path))
    for restart in range(config.compute.restarts + 1):
        try:
            return _attempt(job, restart, report)
        except LostRankError as error:
            left = config.compute.restarts - restart
            Journal(run.journal).append("rank lost", reason=str(error))
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
        self.messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self.result: Checkpoint | None = None
        self.errors: list[Exception] = []
        self.stopping = False
        self.processes = [self._start(job, rank, size, restart) for rank in range(size)]

    def look(self, report: Report) -> int:
        """Take up what the ranks tell, for a moment; return how many of them are still running."""
        with contextlib.suppress(queue.Empty):
            self._take(self.messages.get(timeout=LOOK), report)
            while True:
                self._take(self.messages.get_nowait(), report)
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
        for error in self.errors:
            raise error
        codes = {rank: process.returncode for rank, process in enumerate(self.processes)}
        lost = {rank: code for rank, code in codes.items() if code}
        if not lost and self.result is not None:
            return self.result
        # The one that the others lost; of those that were killed here nothing is known.
        rank, code = next(((rank, code) for rank, code in lost.items() if code != LOST), (0, LOST))
        words = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        raise LostRankError(f"rank {rank} of {len(codes)} {words}")

    def close(self) -> None:
        """Kill what still runs."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()

    def _start(self, job: Job, rank: int, size: int, restart: int) -> subprocess.Popen[bytes]:
        reader, writer = os.pipe()
        place = {
            "RANK": str(rank),
            "WORLD_SIZE": str(size),
            "LOCAL_WORLD_SIZE": str(size),
            "MASTER_ADDR": HOST,
            "MASTER_PORT": str(self.store.port),
            "GLOO_SOCKET_IFNAME": LOOPBACK,
            "TORCHELASTIC_RESTART_COUNT": str(restart),
            OWN_STORE: "True",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "unbroken.engines.rank", str(writer)],
            stdin=subprocess.PIPE,
            pass_fds=(writer,),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in job.paths if path), **place},
            start_new_session=True,  # Ctrl-C at a terminal comes here alone, and is handed on
        )
        os.close(writer)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(to_json(job) + b"\n")
            process.stdin.flush()
        threading.Thread(target=self._listen, args=(reader,), name=f"rank {rank}", daemon=True).start()
        return process

    def _listen(self, reader: int) -> None:
        with os.fdopen(reader, "rb") as lines:
            for line in lines:
                self.messages.put(json.loads(line))

    def _take(self, message: dict[str, Any], report: Report) -> None:
        kind = message.pop("kind")
        if kind == LOG:
            logging.getLogger(message["name"]).log(message["level"], "%s", message["message"])
        elif kind == PROGRESS:
            report(Progress(**message))
        elif kind == RESULT:
            self.result = Checkpoint(**message)
        elif kind == OS_ERROR:
            self.errors.append(OSError(message["number"], message["message"], message["path"]))
        elif kind == ERROR:
            error = error_of(message["name"], message["message"])
            self.errors.append(error or UnbrokenError(message["message"]))
