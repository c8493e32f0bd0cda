"""Rows streamed from disk against the same in memory, and the seek into the middle of an epoch.

The streamed side may take MEMORY_LIMIT, a fraction of the data; both sides yield
the same batches.
"""

import itertools
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import skip_first_batches
from torch.utils.data import DataLoader, Dataset, RandomSampler

from benchmarks.measure import Comparison, Measurement, Target, compare, save, seconds
from benchmarks.rows import FEATURES, write_rows
from unbroken.batches.epoch import epoch_batches
from unbroken.batches.row_file import RowFile, open_row_file
from unbroken.batches.rows import Rows, read_rows
from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, SplitConfig, TrainingConfig
from unbroken.data.dataset import SplitDatasets
from unbroken.features.encoder import Encoder
from unbroken.features.spec import FeatureSpec
from unbroken.pipeline import prepare
from unbroken.run import open_run
from unbroken.stages.train import train
from unbroken.storage.journal import Journal

ROWS = 2_000_000
SEEK_ROWS = 100_000_000
PEER_ROWS = 10_000_000
"""The peers' list of places takes 40 bytes a row, so that they get a tenth."""
MEMORY_LIMIT = 48
"""MiB, of the 84 that the rows take."""
SHUFFLE_ROWS = 1 << 19
BATCH_SIZE = 256
ROUNDS = 3


def main(folder: Path) -> None:
    """Measure and save."""
    folder.mkdir(parents=True, exist_ok=True)
    source = write_rows(folder / f"{ROWS}.parquet", ROWS)
    config = Config(
        data=DataConfig(source=str(source)),
        split=SplitConfig(test_fraction=0.01, validation_fraction=0.0),
        model=ModelConfig(options={"hidden": [32]}),
        checkpoint=CheckpointConfig(every_seconds=None),
        runs_folder=str(folder / "runs"),
    )
    run = open_run(config)
    prepared = prepare(config, run)
    features = Encoder.load(Path(prepared.preprocessed.encoder.path)).features
    found = [training(config, prepared.splits, prepared.preprocessed.encoder, batch_size) for batch_size in (256, 4096)]
    found.append(feeding(prepared.splits, features, folder))
    found.append(seek(features, folder))
    save("feeding", found)
    shutil.rmtree(folder)


def training(config: Config, splits: SplitDatasets, encoder: object, batch_size: int) -> Comparison:
    """Train a run of its own each time: the rate of its second epoch, as its journal tells."""
    seeds = itertools.count(1)

    def rate(memory_limit: int | None) -> float:
        settings = TrainingConfig(
            epochs=2,
            batch_size=batch_size,
            shuffle_rows=SHUFFLE_ROWS,
            memory_limit=memory_limit,
            seed=next(seeds),
        )
        config_now = replace(config, training=settings)
        run = open_run(config_now)
        train(config_now, splits, encoder, run)  # ty: ignore[invalid-argument-type]
        saved = [event for event in Journal(run.journal).events() if "rows_per_second" in event]
        shutil.rmtree(run.path)
        return saved[-1]["rows_per_second"]

    return compare(
        f"training rows a second, 10-32-1, batch {batch_size}, streamed within {MEMORY_LIMIT} MiB",
        "rows/s",
        {"streamed": lambda: rate(MEMORY_LIMIT), "in memory": lambda: rate(None)},
        rounds=ROUNDS,
        targets={"in memory": Target(at_least=0.8)},
    )


def feeding(splits: SplitDatasets, features: FeatureSpec, folder: Path) -> Comparison:
    """Take all batches of an epoch and do nothing with them."""
    cpu = torch.device("cpu")
    on_disk, in_memory = (
        open_row_file(folder / "rows", splits.train, features, cpu),
        read_rows(splits.train, features),
    )

    def rate(rows: Rows | RowFile, shuffle_rows: int) -> Measurement:
        def epoch() -> None:
            for _ in epoch_batches(rows, BATCH_SIZE, 0, 0, shuffle_rows=shuffle_rows):
                pass

        return lambda: len(rows) / seconds(epoch)

    return compare(
        f"batches of {BATCH_SIZE} without any training",
        "rows/s",
        {
            "streamed": rate(on_disk, SHUFFLE_ROWS),
            "in memory": rate(in_memory, SHUFFLE_ROWS),
            "in memory, all rows shuffled together": rate(in_memory, len(in_memory)),
        },
        rounds=ROUNDS,
    )


class Places(Dataset):
    """So many rows that cost nothing."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.rows

    def __getitem__(self, index: int) -> int:
        """Return the row's own index."""
        return index


def seek(features: FeatureSpec, folder: Path) -> Comparison:
    """Reach the first batch after the middle of an epoch."""
    path = folder / "many.rows"
    with open(path, "wb") as file:
        # All zeros, and written: a hole in the file would cost no reading.
        piece = bytes(4 * len(features.columns) << 20)
        for start in range(0, SEEK_ROWS, 1 << 20):
            file.write(piece[: 4 * len(features.columns) * min(1 << 20, SEEK_ROWS - start)])
    os.sync()  # what is still being written would be in the way
    rows = RowFile(path, SEEK_ROWS, features, torch.device("cpu"))

    def sought() -> float:
        batches = epoch_batches(rows, BATCH_SIZE, 0, 0, SEEK_ROWS // BATCH_SIZE // 2, shuffle_rows=SHUFFLE_ROWS)
        return seconds(lambda: next(batches))  # the next window, which is being read then, is not waited for

    def read_alone() -> None:
        window = np.empty(SHUFFLE_ROWS * len(features.columns), np.int32)
        with open(path, "rb", buffering=0) as file:
            file.readinto(window.data)

    def skipped_in_accelerate() -> None:
        order = RandomSampler(Places(PEER_ROWS), generator=torch.Generator().manual_seed(0))
        loader = DataLoader(Places(PEER_ROWS), BATCH_SIZE, sampler=order)
        next(iter(skip_first_batches(loader, PEER_ROWS // BATCH_SIZE // 2)))

    found = compare(
        f"seek into the middle of an epoch of {SEEK_ROWS:,} rows x {FEATURES}, streamed",
        "s",
        {
            "unbroken": sought,
            "0.1 s": lambda: 0.1,
            "one window read into new memory (the limit)": lambda: seconds(read_alone),
            f"accelerate.skip_first_batches, {PEER_ROWS:,} rows that cost nothing": lambda: seconds(
                skipped_in_accelerate
            ),
        },
        rounds=ROUNDS,
        targets={"0.1 s": Target(at_most=1.0)},
        note="The peer draws the order of all rows and passes over the batches before.",
    )
    path.unlink()
    return found


if __name__ == "__main__":
    main(Path("runs/benchmarks/feeding"))
