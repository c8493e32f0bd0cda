"""Rows per second of two processes against one with two threads, at the same global batch: `python -m benchmarks.ranks`.

The network and the batch are the large ones of `benchmarks.training`. Each contender trains a run of its own a round, and tells the
rate of its last epoch, without evaluation and checkpoint, as its journal has it.
"""

import itertools
import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import Measurement, Target, compare
from unbroken.config import ComputeConfig, Config, DataConfig, ModelConfig, SplitConfig, TrainingConfig
from unbroken.engines.training import train
from unbroken.pipeline import Prepared, prepare
from unbroken.run import open_run
from unbroken.storage.journal import Journal

FEATURES, ROWS, HIDDEN, BATCH = 100, 41_374, [512, 512], 4096
EPOCHS, ROUNDS = 4, 5


def write_source(folder: Path) -> str:
    """Write rows whose label depends on their features."""
    draw = np.random.Generator(np.random.PCG64(0))
    numbers = draw.random((ROWS, FEATURES), dtype=np.float32)
    label = (numbers - 0.5) @ draw.standard_normal(FEATURES) > 0
    columns = {f"feature_{place}": column for place, column in enumerate(numbers.T)}
    pq.write_table(pa.table({**columns, "label": label.astype(np.int8)}), folder / "rows.parquet")
    return str(folder / "rows.parquet")


def rate(config: Config, prepared: Prepared, folder: Path) -> Measurement:
    """Return what trains a new run on prepared rows."""
    number = itertools.count()

    def measure() -> float:
        run = replace(prepared.run, folder=str(folder / f"run-{next(number)}"))
        train(config, prepared.splits, prepared.preprocessed.encoder, run)
        return [event for event in Journal(run.journal).events() if event["event"] == "checkpoint saved"][-1][
            "rows_per_second"
        ]

    return measure


def main() -> None:
    """Run them in turn, and print the ratios."""
    logging.getLogger("unbroken").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        training = TrainingConfig(epochs=EPOCHS, batch_size=BATCH, micro_batches=8)
        plain = Config(
            data=DataConfig(source=write_source(folder)),
            split=SplitConfig(test_fraction=0.01, validation_fraction=0.0),
            model=ModelConfig(options={"hidden": HIDDEN}),
            training=training,
            runs_folder=str(folder / "runs"),
        )
        prepared = prepare(plain, open_run(plain))
        kinds = {
            "2 processes, 8 micro-batches": replace(plain, compute=ComputeConfig(workers=2)),
            "1 process, 2 threads, 8 micro-batches": replace(plain, training=replace(training, threads=2)),
            "1 process, 2 threads": replace(plain, training=replace(training, threads=2, micro_batches=1)),
            "1 process, 8 micro-batches": plain,
            "1 process": replace(plain, training=replace(training, micro_batches=1)),
        }
        contenders = {
            name: rate(config, prepared, folder / str(place)) for place, (name, config) in enumerate(kinds.items())
        }
        aims = {"1 process, 2 threads": Target(at_least=0.9)}
        compare("100-512-512-1, batch 4096", "rows/s", contenders, rounds=ROUNDS, targets=aims)


if __name__ == "__main__":
    main()
