"""A small run without Prefect: all that draws random numbers or keeps state, in a fraction of a second."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd  # noqa: F401
import pyarrow as pa
import pyarrow.parquet as pq
import torch._dynamo
import torch.profiler
from fsspec.implementations import local  # noqa: F401

from tests.crash.disk import Faults, Judge, Operation, kill, watched
from unbroken import pipeline
from unbroken.batches.epoch import epoch_batches
from unbroken.batches.rows import Rows
from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, SplitConfig, TrainingConfig
from unbroken.pipeline import Prepared
from unbroken.reproducibility.determinism import reproducible
from unbroken.run import open_run
from unbroken.stages.results import Published
from unbroken.storage import atomic
from unbroken.training import loop

PAGE = os.sysconf("SC_PAGE_SIZE")

ROWS, EPOCHS, STEPS = 90, 3, 6
"""Rows in all, epochs, and steps an epoch (63 training rows in batches of 12)."""


def write_source(path: Path) -> None:
    """Write a table of numbers with gaps, a category and a binary label."""
    draw = np.random.Generator(np.random.PCG64(1))
    numbers = draw.standard_normal((ROWS, 3))
    columns = {f"number_{index}": numbers[:, index] for index in range(3)}
    columns["number_1"] = np.where(draw.random(ROWS) < 0.1, np.nan, columns["number_1"])
    category = pa.array(np.array(["red", "green", "blue"])[draw.integers(0, 3, ROWS)])
    label = (numbers.sum(axis=1) + draw.standard_normal(ROWS) > 0).astype(np.int8)
    pq.write_table(pa.table({**columns, "category": category, "label": label}), path)


def configure(folder: Path) -> Config:
    """Return a run with dropout, shuffling, Adam, a scheduler stepped each batch, and checkpoints inside epochs."""
    return Config(
        data=DataConfig(source=str(folder / "source.parquet")),
        split=SplitConfig(kind="stratified", validation_fraction=0.1),
        model=ModelConfig(options={"hidden": [6], "dropout": 0.3}),
        training=TrainingConfig(epochs=EPOCHS, batch_size=12, scheduler="OneCycleLR", learning_rate=0.02),
        checkpoint=CheckpointConfig(every_steps=2, every_seconds=None),
        runs_folder=str(folder / "runs"),
    )


def prepare(config: Config) -> Prepared:
    """Do stages 1 to 3."""
    return pipeline.prepare(config, open_run(config))


def finish(prepared: Prepared) -> Published:
    """Do stages 4 to 6."""
    _, published, _ = pipeline.finish(prepared)
    return published


def finished(folder: Path) -> tuple[Prepared, Published]:
    """Do all six stages and return what the first three and the last three made."""
    prepared = prepare(configure(folder))
    return prepared, finish(prepared)


def complete(folder: Path) -> str:
    """Do all six stages from wherever the run in a folder stands and return the SHA-256 of its `checkpoint.pth`."""
    return atomic.digest(Path(finish(prepare(configure(folder))).path))


@dataclasses.dataclass(frozen=True)
class Undisturbed:
    """The SHA-256 of the final checkpoint, the file operations that led to it, and the KiB on disk that they left."""

    digest: str
    operations: list[Operation]
    kibibytes: int


def undisturbed(folder: Path) -> Undisturbed:
    """Do all six stages with nothing in the way and note every file operation."""
    operations: list[Operation] = []
    with watched(folder, operations.append):
        digest = complete(folder)
    pages = sum(-(-path.stat().st_size // PAGE) for path in (folder / "runs").rglob("*") if path.is_file())
    return Undisturbed(digest, operations, pages * PAGE >> 10)


def complete_watched(folder: Path, judge: Judge) -> str:
    """Do all six stages while the disk does what `judge` says."""
    with watched(folder, judge):
        return complete(folder)


def complete_with_faults(folder: Path, faults: Faults) -> str:
    """Do all six stages while the disk misbehaves."""
    return complete_watched(folder, faults.judge)


def killed_after_step(folder: Path, step: int) -> str:
    """Do all six stages, but die right after the step of that number in this attempt."""
    return complete_but(folder, step, kill)


def complete_but(folder: Path, step: int, happens: Callable[[], object], **checkpoint: Any) -> str:
    """Do all six stages, but let something happen right after a step of this attempt; `checkpoint` settings may differ."""
    seen = 0

    def counted(*arguments: Any) -> Iterator[Rows]:
        nonlocal seen
        for batch in epoch_batches(*arguments):
            yield batch
            seen += 1
            if seen == step:
                happens()

    config = configure(folder)
    config = dataclasses.replace(config, checkpoint=dataclasses.replace(config.checkpoint, **checkpoint))
    with mock.patch.object(loop, "epoch_batches", counted):
        return atomic.digest(Path(finish(prepare(config)).path))


def warm_up() -> None:
    """Do once what is slow the first time, without starting a thread: a fork takes only the calling thread along.

    The imports above that nothing here uses are those that a first training would make.
    """
    with reproducible(threads=1):
        model = torch.nn.Linear(2, 1)
        torch.optim.Adam(model.parameters(), fused=True)


warm_up()
