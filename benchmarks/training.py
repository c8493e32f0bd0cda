"""Rows per second of the training loop against other frameworks and the machine's own limit.

Each contender trains one epoch a round in this one process, with the same rows, network, Adam and threads.
Unbroken's is the second epoch of a real run, as its journal tells it: the steps alone, as in the other frameworks,
without the evaluation and the checkpoint at the end of the epoch, which none of the others makes here.
"""

import itertools
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from benchmarks import peers
from benchmarks.measure import Comparison, Measurement, Target, compare, save, seconds
from unbroken.config import Config, DataConfig, ModelConfig, SplitConfig, TrainingConfig
from unbroken.pipeline import prepare
from unbroken.run import open_run
from unbroken.stages.train import train
from unbroken.storage.journal import Journal

ROUNDS = 5


def task_of(features: int, rows: int, hidden: tuple[int, ...], batch_size: int) -> peers.Task:
    """Return rows whose label depends on their features."""
    draw = torch.Generator().manual_seed(0)
    numbers = torch.rand(rows, features, generator=draw)
    score = (numbers - 0.5) @ torch.randn(features, generator=draw)
    return peers.Task(numbers, (score > 0).float(), hidden, batch_size)


def write_source(task: peers.Task, folder: Path) -> Path:
    """Write the rows as Parquet: a few more, so that about as many train as in the other frameworks."""
    source = folder / "rows.parquet"
    columns = {f"feature_{place}": column for place, column in enumerate(task.numbers.numpy().T)}
    more = np.resize(np.arange(len(task.labels)), int(len(task.labels) / 0.99))
    pq.write_table(pa.table({**columns, "label": task.labels.numpy().astype(np.int8)}).take(more), source)
    return source


def unbroken_run(task: peers.Task, threads: int, folder: Path) -> Measurement:
    """Train a run of its own each time: the rate of its second epoch."""
    config = Config(
        data=DataConfig(source=str(write_source(task, folder))),
        split=SplitConfig(test_fraction=0.01, validation_fraction=0.0),
        model=ModelConfig(options={"hidden": list(task.hidden)}),
        training=TrainingConfig(epochs=2, batch_size=task.batch_size, learning_rate=3e-3, threads=threads),
        runs_folder=str(folder / "runs"),
    )
    run = open_run(config)
    prepared = prepare(config, run)
    number = itertools.count()

    def measure() -> float:
        own = replace(run, folder=str(folder / f"run-{next(number)}"))
        train(config, prepared.splits, prepared.preprocessed.encoder, own)
        saved = [event for event in Journal(own.journal).events() if event["event"] == "checkpoint saved"]
        return saved[-1]["rows_per_second"]

    return measure


def gemm_limit(task: peers.Task) -> Measurement:
    """Return the rate if nothing but the matrix products took time, at the rate of the largest of them."""
    sizes = [task.numbers.shape[1], *task.hidden, 1]
    weights = [before * after for before, after in itertools.pairwise(sizes)]
    per_row = 2 * (3 * sum(weights) - weights[0])
    width = max(task.hidden)
    left, right = torch.rand(task.batch_size, width), torch.rand(width, width)
    out = torch.empty(task.batch_size, width)
    products = 10

    def measure() -> float:
        taken = seconds(lambda: [torch.mm(left, right, out=out) for _ in range(products)])
        return products * 2 * task.batch_size * width * width / taken / per_row

    return measure


def products_of(task: peers.Task) -> Measurement:
    """Return the rate if nothing but the network's own matrix products took time, each at its size and in its layout."""
    sizes, rows = [task.numbers.shape[1], *task.hidden, 1], task.batch_size
    products: list[tuple[Tensor, Tensor, Tensor]] = []
    for place, (before, after) in enumerate(itertools.pairwise(sizes)):
        inputs, weight, gradient = torch.rand(rows, before), torch.rand(after, before), torch.rand(rows, after)
        products += [(inputs, weight.T, torch.empty(rows, after)), (gradient.T, inputs, torch.empty(after, before))]
        products += [(gradient, weight, torch.empty(rows, before))] if place else []

    def measure() -> float:
        return rows / seconds(lambda: [torch.mm(left, right, out=out) for left, right, out in products])

    return measure


def with_threads(threads: int, measurement: Measurement) -> Measurement:
    """Return a measurement that starts with so many threads, whatever the one before left behind."""

    def measure() -> float:
        torch.set_num_threads(threads)
        with threadpool_limits(threads):
            return measurement()

    return measure


def contest(
    what: str, task: peers.Task, threads: int, targets: Mapping[str, float], folder: Path, *, limit: bool = False
) -> Comparison:
    """Run all contenders on a task."""
    folder.mkdir()
    contenders: dict[str, Measurement] = {
        "Unbroken": unbroken_run(task, threads, folder),
        "tensor loop, fused Adam": peers.tensor_loop(task),
        "tensor loop, torch.compile": peers.tensor_loop(task, compiled=True),
        "DataLoader loop": peers.loader_loop(task),
        "Accelerate": peers.accelerate_loop(task),
        "Lightning": peers.lightning_trainer(task),
        "skorch": peers.skorch_net(task),
        "scikit-learn MLPClassifier": peers.sklearn_classifier(task),
    }
    if limit:
        contenders["matrix products alone, at the rate of the largest"] = gemm_limit(task)
        contenders["matrix products alone, each at its own rate"] = products_of(task)
    aims = {name: Target(at_least=ratio) for name, ratio in targets.items()}
    contenders = {name: with_threads(threads, each) for name, each in contenders.items()}
    return compare(what, "rows/s", contenders, rounds=ROUNDS, targets=aims)


SMALL_BATCHES: dict[str, float] = {
    "Lightning": 10, "skorch": 6, "DataLoader loop": 3, "scikit-learn MLPClassifier": 1.2, "tensor loop, fused Adam": 1,
}  # fmt: skip
LARGER_BATCHES: dict[str, float] = {
    "Lightning": 6, "skorch": 4, "DataLoader loop": 9, "scikit-learn MLPClassifier": 2, "tensor loop, fused Adam": 1,
}  # fmt: skip
LARGE_MODEL: dict[str, float] = {
    "Lightning": 1, "skorch": 1, "DataLoader loop": 1, "Accelerate": 1, "scikit-learn MLPClassifier": 1,
    "tensor loop, fused Adam": 1, "matrix products alone, at the rate of the largest": 0.85,
}  # fmt: skip


def main() -> None:
    """Run every contest and keep the results."""
    for name in ("lightning.pytorch", "lightning.fabric", "unbroken"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        contests = [
            contest("10-32-1, batch 32", task_of(10, 32_000, (32,), 32), 1, SMALL_BATCHES, folder / "1"),
            contest("10-32-1, batch 256", task_of(10, 128_000, (32,), 256), 1, LARGER_BATCHES, folder / "2"),
            contest("10-64-64-1, batch 32", task_of(10, 32_000, (64, 64), 32), 1, SMALL_BATCHES, folder / "3"),
        ]
        for threads in (1, 2):
            task = task_of(100, 40_960, (512, 512), 4096)
            what = f"100-512-512-1, batch 4096, {threads} thread{'s'[: threads - 1]}"
            contests.append(contest(what, task, threads, LARGE_MODEL, folder / f"large-{threads}", limit=True))
    save("training", contests)


if __name__ == "__main__":
    main()
