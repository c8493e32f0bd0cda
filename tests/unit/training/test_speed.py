"""Two guards against a training loop that became slow: ratios of what runs in turn here, and wide, since machines are busy."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.contract import run_stages
from unbroken.batches.epoch import epoch_batches
from unbroken.batches.rows import Rows
from unbroken.config import Config, DataConfig, ModelConfig, TrainingConfig
from unbroken.features.spec import FeatureSpec
from unbroken.models.mlp import MLP
from unbroken.optimization.gradient import gradient_of
from unbroken.optimization.optimizer import build_optimizer, updater_of
from unbroken.reproducibility.determinism import reproducible
from unbroken.run import open_run
from unbroken.storage.journal import Journal
from unbroken.training.hooks import TrainHook
from unbroken.training.state import TrainState

ROWS, NUMBERS, BATCH = 6400, 10, 32


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    numbers = torch.rand(ROWS, NUMBERS, generator=draw)
    return numbers, (numbers.sum(1) > NUMBERS / 2).float()


def own_epoch() -> Callable[[], None]:
    numbers, labels = drawn()
    features = FeatureSpec(
        numbers=tuple(map(str, range(NUMBERS))), categories=(), label="label", task="binary", classes=(0, 1)
    )
    model, rows = MLP(features, [32]), Rows(numbers, torch.empty(ROWS, 0, dtype=torch.long), labels)
    gradient, update = gradient_of(model, "binary", None), updater_of(build_optimizer(TrainingConfig(), model))

    def epoch() -> None:
        for batch in epoch_batches(rows, BATCH, 0, 0, 0, gradient.prepare):
            gradient(batch)
            update()

    return epoch


def hand_written_epoch() -> Callable[[], None]:
    numbers, labels = drawn()
    model = nn.Sequential(nn.Linear(NUMBERS, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, fused=True)

    def epoch() -> None:
        for index in torch.randperm(ROWS).split(BATCH):
            optimizer.zero_grad()
            functional.binary_cross_entropy_with_logits(model(numbers[index]), labels[index]).backward()
            optimizer.step()

    return epoch


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@pytest.mark.slow
def test_an_epoch_takes_no_longer_than_a_loop_over_tensors_written_by_hand():
    ours, by_hand = own_epoch(), hand_written_epoch()

    with reproducible(threads=1):  # as a training does; with more, they wait for each other wherever cores are busy
        rounds = [(seconds(ours), seconds(by_hand)) for _ in range(5)]

    assert min(mine for mine, _ in rounds) < min(other for _, other in rounds)  # about a quarter on a quiet machine


class Stalls(TrainHook):
    """Notes how long each checkpoint held the training up."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_save(self, state: TrainState, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.mark.slow
def test_a_checkpoint_holds_the_training_up_for_a_small_part_of_an_epoch(tmp_path: Path):
    numbers, labels = drawn()
    columns = {f"number_{place}": column for place, column in enumerate(numbers.numpy().T)}
    source = tmp_path / "rows.parquet"
    pq.write_table(pa.table({**columns, "label": labels.numpy().astype(np.int8)}), source)
    config = Config(
        data=DataConfig(source=str(source)),
        model=ModelConfig(options={"hidden": [32]}),
        training=TrainingConfig(batch_size=BATCH, epochs=6),
        runs_folder=str(tmp_path / "runs"),
    )
    stalls = Stalls()

    run_stages(config, [stalls])

    epochs = [event["seconds"] for event in Journal(open_run(config).journal).events() if "seconds" in event]
    assert len(stalls.seconds) == len(epochs) == 6
    assert min(stalls.seconds) < 0.5 * min(epochs)  # about a fiftieth on a quiet machine, though the epochs are tiny
