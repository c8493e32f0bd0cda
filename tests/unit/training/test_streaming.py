"""Data on disk trains to the same bytes as data in memory, killed anywhere, within its memory."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.contract import run_stages, stopping_after, write_rows
from unbroken.batches.epoch import epoch_batches
from unbroken.batches.order import windows
from unbroken.batches.rows import Rows
from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, SplitConfig, TrainingConfig
from unbroken.config.training import BLOCK_ROWS
from unbroken.errors import ConfigError
from unbroken.run import open_run

ROWS = 40_000
MEMORY, STREAMED = 64, 1
"""MiB that hold these rows, and that do not."""
SHUFFLED = 3 * BLOCK_ROWS


def configured(folder: Path, label: str, memory_limit: int, **training: Any) -> Config:
    settings = TrainingConfig(epochs=2, batch_size=500, shuffle_rows=SHUFFLED, memory_limit=memory_limit)
    return Config(
        data=DataConfig(source=write_rows(folder / f"{label}.parquet", label, ROWS)),
        split=SplitConfig(validation_fraction=0.1),
        model=ModelConfig(options={"hidden": [8], "dropout": 0.2}),
        training=replace(settings, **training),
        checkpoint=CheckpointConfig(every_steps=7),
        runs_folder=str(folder / str(memory_limit)),
    )


def trained(config: Config) -> bytes:
    return Path(run_stages(config).path).read_bytes()


def row_files(config: Config) -> list[str]:
    return sorted(path.name for path in open_run(config).data.glob("*.rows"))


@pytest.mark.parametrize("label", ["binary", "multiclass", "regression"])
def test_streamed_and_in_memory_give_the_same_bytes(label: str, tmp_path: Path):
    weights = "none" if label == "regression" else "balanced"
    streamed = configured(tmp_path, label, STREAMED, class_weights=weights)
    in_memory = configured(tmp_path, label, MEMORY, class_weights=weights)

    assert trained(streamed) == trained(in_memory)
    assert row_files(streamed) == ["test.rows", "train.rows", "validation.rows"]
    assert row_files(in_memory) == []


@pytest.mark.parametrize(("at_first", "then"), [(STREAMED, STREAMED), (STREAMED, MEMORY), (MEMORY, STREAMED)])
def test_a_streamed_training_killed_inside_an_epoch_ends_with_the_same_bytes(at_first: int, then: int, tmp_path: Path):
    undisturbed = trained(configured(tmp_path, "binary", MEMORY))
    folder = str(tmp_path / "disturbed")
    for steps in (10, 17, 40):
        with stopping_after(steps) as stop:
            run_stages(replace(configured(tmp_path, "binary", at_first), runs_folder=folder), [stop])

    assert trained(replace(configured(tmp_path, "binary", then), runs_folder=folder)) == undisturbed


def test_a_damaged_row_file_is_made_anew(tmp_path: Path):
    config = configured(tmp_path, "binary", STREAMED)
    with stopping_after(30) as stop:
        run_stages(config, [stop])
    path = open_run(config).data / "train.rows"
    whole = path.read_bytes()
    path.write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])

    assert trained(config) == trained(configured(tmp_path, "binary", MEMORY))
    assert path.read_bytes() == whole


def test_a_limit_below_two_windows_is_refused(tmp_path: Path):
    config = configured(tmp_path, "binary", STREAMED, shuffle_rows=1 << 20)

    with pytest.raises(ConfigError, match=r"training\.memory_limit: found 1 MiB, expected at least \d+"):
        run_stages(config)


def test_the_limit_does_not_count_to_the_identity_of_a_run_but_the_shuffle_does(tmp_path: Path):
    config = configured(tmp_path, "binary", STREAMED)
    other_limit = replace(config, training=replace(config.training, memory_limit=MEMORY))
    other_shuffle = replace(config, training=replace(config.training, shuffle_rows=2 * SHUFFLED))

    assert open_run(other_limit).key == open_run(config).key
    assert open_run(other_shuffle).key != open_run(config).key


@pytest.mark.parametrize("rows", [1, BLOCK_ROWS, 5 * BLOCK_ROWS, 20 * BLOCK_ROWS + 1, 30 * BLOCK_ROWS - 1])
def test_an_epoch_has_every_row_once_and_any_step_is_reached_directly(rows: int):
    data = Rows(torch.arange(rows, dtype=torch.float32)[:, None], torch.empty(rows, 0).long(), torch.zeros(rows))

    def order(epoch: int, first_step: int = 0, batch_size: int = 300) -> list[float]:
        found = epoch_batches(data, batch_size, 0, epoch, first_step, shuffle_rows=4 * BLOCK_ROWS)
        return [value for batch in found for value in batch.numbers[:, 0].tolist()]

    whole = order(0)

    assert sorted(whole) == list(range(rows))
    for step in range(0, -(-rows // 300), 7):
        assert order(0, step) == whole[300 * step :]
    assert order(0, batch_size=7000) == whole
    if rows > 1:
        assert order(1) != whole


def test_batches_have_their_size_across_the_windows():
    rows = 10 * BLOCK_ROWS + 5
    data = Rows(torch.zeros(rows, 1), torch.empty(rows, 0).long(), torch.zeros(rows))

    sizes = [len(batch) for batch in epoch_batches(data, 700, 0, 0, shuffle_rows=2 * BLOCK_ROWS)]

    assert sizes == [700] * (rows // 700) + [rows % 700]


def test_the_rows_of_a_window_come_from_everywhere():
    rows = 1000 * BLOCK_ROWS

    for window in windows(rows, 100 * BLOCK_ROWS, seed=0, epoch=0):
        assert len(window) == 100 * BLOCK_ROWS
        places = window.rows(window.order.at(0, len(window)))
        assert abs(places.mean() / rows - 0.5) < 0.1
        assert np.abs(np.corrcoef(places[1:], places[:-1])[0, 1]) < 0.02
