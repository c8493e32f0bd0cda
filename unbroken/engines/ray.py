"""Ranks as workers of one Ray Train job, started again by Ray's own policy: none of its checkpoints, groups or data.

Ray places the workers, watches them and their machines, and starts as many again as there is room for; each starts one rank
(`engines.ray_worker`). This process waits for them, shows what they tell, and hands a request to stop on.
"""

import logging
import math
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

from unbroken.config import Config
from unbroken.engines.messages import STARTED, Job
from unbroken.engines.outcome import Outcome
from unbroken.errors import ConfigError
from unbroken.parallel.group import LostRankError
from unbroken.stages.results import Checkpoint
from unbroken.storage.artifact import to_json
from unbroken.storage.journal import Journal
from unbroken.training.progress import Report
from unbroken.training.signals import StopRequest

try:
    import ray
    from ray.exceptions import RayError
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from unbroken.engines.ray_worker import Mailbox, run_rank
except ImportError as error:
    raise ConfigError(
        f"compute.engine: found 'ray', expected 'local', since Ray Train cannot be imported: {error}. "
        f"Install it: pip install 'unbroken[ray]'"
    ) from error

log = logging.getLogger(__name__)

LOOK, STOPPING, PATIENCE = 0.2, 90.0, 60.0
"""Seconds: between two looks at what the ranks tell, that all have to save and stop, and after which none should be waited for
without a word."""
OBJECTS = 100 * 2**20
"""Bytes of the object store of a cluster that is started here; Ray's least is 75 MiB, and the ranks put nothing there."""


def train(job: Job, report: Report) -> Checkpoint:
    """Train in at most `compute.workers` workers of a Ray cluster; see `engines.training.train`.

    Raises:
        LostRankError: Workers died more often than `compute.restarts`, or the cluster is gone.
        ConnectionError: There is no cluster at `compute.address`.
    """
    # Ray Train keeps notes, and may be writing yet when they are removed.
    notes = TemporaryDirectory(prefix="unbroken-ray-", ignore_cleanup_errors=True)
    with StopRequest() as stop, notes as folder, _connected(job.config):
        attempts = _Attempts(job, report)
        fit = _Fit(_trainer(job, attempts.mailbox, folder))
        asked = None
        while fit.is_alive():
            fit.join(LOOK)
            attempts.look(stop=stop.signal is not None)
            if stop.signal is not None:
                asked = asked or time.monotonic()
                if time.monotonic() - asked > STOPPING:
                    break  # leaving the cluster ends them
        if stop.signal is None:
            return attempts.outcome(fit.error)
    raise AssertionError("a request to stop ends in an exception")


class _Attempts:
    """What came of the starts of the ranks."""

    def __init__(self, job: Job, report: Report) -> None:
        self.journal, self.report = Journal(job.run.journal), report
        self.told, self.starts = Outcome(), 0
        self.cpus, self.patience = job.config.training.threads, time.monotonic() + PATIENCE
        # On the machine of this process, with which it may die.
        node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.mailbox: Any = ray.remote(num_cpus=0)(Mailbox).options(scheduling_strategy=node).remote()

    def look(self, *, stop: bool) -> None:
        """Take up what the ranks told."""
        try:
            messages = ray.get(self.mailbox.take.remote(stop=stop))
        except RayError as error:
            raise _lost(error) from error
        if not self.starts and time.monotonic() > self.patience:
            self._tell_waiting()
        for message in messages:
            if message["kind"] == STARTED:
                self._start(message["size"])
            else:
                self.told.take(message, self.report)

    def outcome(self, error: Exception | None) -> Checkpoint:
        """Return what the ranks came to; raise what ended them."""
        self.look(stop=False)
        checkpoint = self.told.require_checkpoint()
        if error is not None or checkpoint is None:
            raise _lost(error or RuntimeError("it ended without a checkpoint")) from error
        return checkpoint

    def _tell_waiting(self) -> None:
        self.patience = math.inf
        total, free = ray.cluster_resources().get("CPU", 0.0), ray.available_resources().get("CPU", 0.0)
        log.warning(
            "Ray has started no rank yet; one takes %d CPUs, %g of the cluster's %g are free", self.cpus, free, total
        )

    def _start(self, size: int) -> None:
        self.starts += 1
        if self.starts == 1:
            log.info("Ray has started %d ranks", size)
            return
        self.told = Outcome()  # what went wrong before is being tried again
        self.journal.append("rank lost", reason=f"Ray has started {size} ranks again")
        log.warning("a rank was lost; Ray has started %d again, from the newest checkpoint", size)


class _Fit(threading.Thread):
    """Waits for Ray Train, so that this process can do other things meanwhile."""

    def __init__(self, trainer: DataParallelTrainer) -> None:
        super().__init__(name="ray-train", daemon=True)
        self.trainer, self.error = trainer, None
        self.start()

    def run(self) -> None:
        """Wait, and keep what it raises."""
        try:
            self.trainer.fit()
        except Exception as error:
            self.error = error


def _trainer(job: Job, mailbox: Any, folder: str) -> DataParallelTrainer:
    compute, threads = job.config.compute, job.config.training.threads
    most = compute.workers
    return DataParallelTrainer(
        run_rank,
        train_loop_config={"job": to_json(job).decode(), "folder": str(Path.cwd()), "mailbox": mailbox},
        scaling_config=ScalingConfig(
            num_workers=(1, most) if most > 1 else 1,  # any number gives the same bits
            resources_per_worker={"CPU": threads},
        ),
        run_config=RunConfig(
            name=token_hex(8), storage_path=folder, failure_config=FailureConfig(max_failures=compute.restarts)
        ),
    )


@contextmanager
def _connected(config: Config) -> Generator[None]:
    """Connect to the cluster, or start one here; one that this process is connected to already stays."""
    if ray.is_initialized():
        yield
        return
    address, cpus = config.compute.address, config.compute.workers * config.training.threads
    own: dict[str, Any] = {"num_cpus": cpus, "object_store_memory": OBJECTS, "include_dashboard": False}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address or "local", log_to_driver=False, logging_level=logging.WARNING, **({} if address else own))
    except Exception as error:  # Ray raises plain ones where a node does not start in time
        raise ConnectionError(f"compute.address: found {address or 'none'}, and no Ray to train on: {error}") from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray has set its own, which exits and saves nothing
    try:
        yield
    finally:
        ray.shutdown()


def _lost(error: Exception) -> LostRankError:
    words = str(error).strip().splitlines() or [type(error).__name__]
    return LostRankError(f"Ray ended the training: {words[-1]}; started again, it goes on from its newest checkpoint")
