"""What a checkpoint costs the training thread, against other ways to save, and as a share of a real epoch.

The stall is the time until the thread may take its next step; saves before it have ended.
"""

import hashlib
import io
import itertools
import logging
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from lightning.pytorch.plugins.io import AsyncCheckpointIO, TorchCheckpointIO

from benchmarks.measure import Comparison, Measurement, Target, compare, save, seconds
from benchmarks.training import task_of, write_source
from unbroken.checkpoints.background import BackgroundWriter
from unbroken.checkpoints.store import CheckpointStore
from unbroken.config import Config, DataConfig, ModelConfig, SplitConfig, TrainingConfig
from unbroken.data.dataset import SplitDatasets
from unbroken.pipeline import prepare
from unbroken.reproducibility.determinism import reproducible
from unbroken.run import Run, open_run
from unbroken.stages.results import Preprocessed
from unbroken.stages.train import train
from unbroken.storage import atomic
from unbroken.storage.journal import Journal
from unbroken.training.hooks import TrainHook
from unbroken.training.inputs import TrainingInputs
from unbroken.training.loop import TrainLoop
from unbroken.training.signals import StopRequest
from unbroken.training.state import TrainState

ROUNDS = 7
SIZES = {"673 weights": (56,), "50 MB": (2048, 2036)}
WINDOW = 1.0
"""Seconds of training that are compared."""


def prepared(config: Config) -> tuple[Run, Preprocessed, SplitDatasets]:
    """Run the first three stages."""
    run = open_run(config)
    prepared = prepare(config, run)
    return run, prepared.preprocessed, prepared.splits


@contextmanager
def training(hidden: tuple[int, ...], folder: Path) -> Generator[TrainLoop]:
    """Yield a training that has taken its first step."""
    source = write_source(task_of(10, 4096, hidden, 32), folder)
    config = Config(
        data=DataConfig(source=str(source)),
        split=SplitConfig(validation_fraction=0.0),
        model=ModelConfig(options={"hidden": list(hidden)}),
        training=TrainingConfig(batch_size=32),
        runs_folder=str(folder / "runs"),
    )
    run, preprocessed, splits = prepared(config)
    inputs = TrainingInputs.read(config, splits, preprocessed.encoder, run)
    journal = Journal(run.journal)
    with reproducible(1), BackgroundWriter() as writer:
        store = CheckpointStore(run.checkpoints, journal)
        loop = TrainLoop(inputs, inputs.fresh_state(), store, journal, writer, StopRequest())
        loop.step(next(loop.batches()))
        yield loop


def stall_of(loop: TrainLoop) -> Measurement:
    """Return what saves once in the background and gives the stall in milliseconds."""

    def measure() -> float:
        taken = seconds(lambda: loop.save(inside_epoch=True))
        loop.writer.settle()
        loop.state.step += 1  # another file each time
        return taken * 1e3

    return measure


def content_of(loop: TrainLoop) -> dict[str, Any]:
    """Return what the other ways save: model and optimizer."""
    return {"model": loop.state.model.state_dict(), "optimizer": loop.state.optimizer.state_dict()}


def torch_save(loop: TrainLoop, folder: Path, *, durable: bool) -> Measurement:
    """Save in the foreground; durably by a temporary name, fsync, rename, fsync of the folder."""

    def write() -> None:
        temporary = folder / "torch.tmp"
        with open(temporary, "wb") as file:
            torch.save(content_of(loop), file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.rename(folder / "torch.pth")
        if durable:
            descriptor = os.open(folder, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    return lambda: seconds(write) * 1e3


def dcp_async(loop: TrainLoop, folder: Path) -> Measurement:
    """Save with torch.distributed.checkpoint.async_save."""
    number = itertools.count()

    def measure() -> float:
        futures = []
        path = folder / f"dcp-{next(number)}"
        taken = seconds(lambda: futures.append(dcp.async_save(content_of(loop), checkpoint_id=path, no_dist=True)))
        futures[0].result()
        return taken * 1e3

    return measure


def lightning_async(loop: TrainLoop, folder: Path, opened: ExitStack) -> Measurement:
    """Save with Lightning's AsyncCheckpointIO."""
    plugin = AsyncCheckpointIO(TorchCheckpointIO())
    opened.callback(plugin.teardown)
    number = itertools.count()

    def measure() -> float:
        path = folder / f"lightning-{next(number)}.ckpt"
        taken = seconds(lambda: plugin.save_checkpoint(content_of(loop), path))
        executor: Any = plugin._executor
        executor.submit(int).result()  # its one thread has ended the save before
        return taken * 1e3

    return measure


def memory_copy(loop: TrainLoop) -> Measurement:
    """Copy the tensors into memory that is there: what any save that lets training go on has to do first."""
    content = content_of(loop)
    parts = [
        *content["model"].values(),
        *(t for state in content["optimizer"]["state"].values() for t in state.values()),
    ]
    copies = [torch.empty_like(part) for part in parts]

    def copy() -> None:
        for made, part in zip(copies, parts, strict=True):
            made.copy_(part)

    return lambda: seconds(copy) * 1e3


def stalls(name: str, hidden: tuple[int, ...], targets: dict[str, float], folder: Path) -> Comparison:
    """Compare the stalls of one size."""
    folder.mkdir()
    with training(hidden, folder) as loop, ExitStack() as opened:
        contenders = {
            "Unbroken": stall_of(loop),
            "torch.save, fsync, rename, fsync": torch_save(loop, folder, durable=True),
            "torch.save": torch_save(loop, folder, durable=False),
            "torch DCP async_save": dcp_async(loop, folder),
            "Lightning AsyncCheckpointIO": lightning_async(loop, folder, opened),
            "one copy in memory (the limit)": memory_copy(loop),
        }
        aims = {other: Target(at_most=ratio) for other, ratio in targets.items()}
        return compare(f"stall of a checkpoint, {name}", "ms", contenders, rounds=ROUNDS, targets=aims)


def write_on(folder: Path, size: int, ready: Any) -> None:
    """Encode, digest and write so many bytes again and again, durably; the process is ended from outside."""
    content = {"all": torch.zeros(size, dtype=torch.uint8)}
    while True:
        buffer = io.BytesIO()
        torch.save(content, buffer)
        name = hashlib.sha256(buffer.getbuffer()).hexdigest()
        atomic.write(folder / name, buffer.getbuffer())
        ready.set()


@contextmanager
def other_process_writing(folder: Path, size: int) -> Generator[None]:
    """Have another process write all the while: what beside it is slower is the machine's doing, not the interpreter's."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=write_on, args=(folder, size, ready), daemon=True)
    process.start()
    ready.wait()
    try:
        yield
    finally:
        process.kill()
        process.join()


def slowdown(name: str, hidden: tuple[int, ...], folder: Path) -> Comparison:
    """Compare the rate of steps while a checkpoint is written with the rate while none is."""
    folder.mkdir()
    with training(hidden, folder) as loop:
        steps = itertools.cycle(loop.batches())

        def rate_until(ended: Callable[[], bool]) -> float:
            started, taken = time.perf_counter(), 0
            while not ended():
                loop.step(next(steps))
                taken += 1
            return taken / (time.perf_counter() - started)

        def alone() -> float:
            end = time.perf_counter() + WINDOW
            return rate_until(lambda: time.perf_counter() >= end)

        def writing() -> float:
            end = time.perf_counter() + WINDOW
            rates = []
            while time.perf_counter() < end:
                loop.save(inside_epoch=True)
                rates.append(rate_until(lambda: not loop.writer.busy))
                loop.writer.settle()
            return sum(rates) / len(rates)

        size = sum(part.nbytes for part in loop.state.model.parameters()) * 3  # Adam keeps two more of each

        def beside_a_process() -> float:
            with other_process_writing(folder, size):
                return alone()

        contenders = {
            "while one is written": writing,
            "while none is": alone,
            "while another process writes as much": beside_a_process,
        }
        aims = {"while none is": Target(at_least=0.95)} if name == "50 MB" else {}
        return compare(f"steps/s beside a checkpoint, {name}", "steps/s", contenders, rounds=ROUNDS, targets=aims)


class Stalls(TrainHook):
    """Notes how long each checkpoint held the training up."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_save(self, state: TrainState, seconds: float) -> None:  # noqa: ARG002 (a hook's signature)
        """Note one."""
        self.seconds.append(seconds)


def share_of_an_epoch(folder: Path) -> Comparison:
    """Compare what the epochs' checkpoints cost the training thread with the epochs themselves, on the flights."""
    config = Config(
        data=DataConfig(source="data/flights"),
        split=SplitConfig(validation_fraction=0.0),
        training=TrainingConfig(epochs=5),
        runs_folder=str(folder / "flights"),
    )
    run, preprocessed, splits = prepared(config)
    stalls = Stalls()
    train(config, splits, preprocessed.encoder, run, hooks=[stalls])
    saved = [event for event in Journal(run.journal).events() if event["event"] == "checkpoint saved"]
    values = {
        "checkpoint": [1e3 * stall for stall in stalls.seconds],
        "epoch": [1e3 * event["seconds"] for event in saved],
    }
    found = Comparison(
        what="flights: stall of the epoch's checkpoint", unit="ms", ours="checkpoint", values=values,
        targets={"epoch": Target(at_most=0.01)},
    )  # fmt: skip
    print(found.describe())
    return found


def main() -> None:
    """Run every comparison and keep the results."""
    logging.getLogger("unbroken").setLevel(logging.ERROR)
    small = {"torch.save, fsync, rename, fsync": 0.5}
    large = {"torch DCP async_save": 0.7, "Lightning AsyncCheckpointIO": 0.7}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as kept:
        folder = Path(kept)
        save(
            "checkpoints",
            [
                stalls("673 weights", SIZES["673 weights"], small, folder / "1"),
                stalls("50 MB", SIZES["50 MB"], large, folder / "2"),
                *(slowdown(name, hidden, folder / f"slow {name}") for name, hidden in SIZES.items()),
                share_of_an_epoch(folder),
            ],
        )


if __name__ == "__main__":
    main()
