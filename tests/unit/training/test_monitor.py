"""A monitored metric that some epochs do not define is never evidence, and said to be none."""

import io
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.contract import assert_resumes_identically, run_stages
from unbroken.checkpoints.format import read_checkpoint
from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, SplitConfig, TrainingConfig

ROWS = 300


def configured(
    folder: Path, *, single_class: bool = False, publish: Literal["best", "last"] = "best", **training: Any
) -> Config:
    draw = np.random.Generator(np.random.PCG64(0))
    numbers = draw.standard_normal((ROWS, 2))
    labels = (numbers[:, 0] > 0).astype(np.int8)
    if single_class:
        labels[ROWS * 6 // 10 :] = 1  # the last rows validate and test
    columns = {"when": np.arange(ROWS), "x": numbers[:, 0], "y": numbers[:, 1], "label": labels}
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    settings: dict[str, Any] = {"epochs": 4, "batch_size": 32, "monitor": "validation_auroc", **training}
    return Config(
        data=DataConfig(source=str(folder / "rows.parquet")),
        split=SplitConfig(kind="time", column="when", validation_fraction=0.2),
        model=ModelConfig(options={"hidden": [4]}),
        training=replace(TrainingConfig(), **settings),
        checkpoint=CheckpointConfig(publish=publish, keep_last=5),
        runs_folder=str(folder / "runs"),
    )


def test_a_class_that_is_missing_in_the_validation_part_ends_nothing_early_and_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    config = configured(tmp_path, single_class=True, patience=1)

    restored = run_stages(config)

    assert restored.epoch == 4
    said = (
        "training.monitor validation_auroc: found nan in epoch 1: of the validation part, a class has none of its rows"
    )
    assert caplog.text.count(said) == 1
    assert "checkpoint.publish best: validation_auroc is finite in none of the 4 epochs" in caplog.text
    assert "Published is the last one" in caplog.text


def test_a_plateau_keeps_the_rate_where_the_metric_is_no_number_and_resumes_identically(tmp_path: Path):
    plateau: dict[str, Any] = {"scheduler": "ReduceLROnPlateau", "scheduler_options": {"patience": 0}}
    config = configured(tmp_path, single_class=True, publish="last", **plateau)

    content = assert_resumes_identically(config, [3, 8, 9], tmp_path)

    history = torch.load(io.BytesIO(content), weights_only=True)["history"]
    assert [entry["learning_rate"] for entry in history] == [config.training.learning_rate] * 4


def test_a_metric_that_gets_better_by_getting_larger_keeps_the_rate(tmp_path: Path):
    plateau: dict[str, Any] = {"scheduler": "ReduceLROnPlateau", "scheduler_options": {"patience": 0, "threshold": 0.0}}
    config = configured(tmp_path, learning_rate=1e-3, **plateau)

    history = read_checkpoint(Path(run_stages(config).path))["history"]

    rates, scores = ([entry[name] for entry in history] for name in ("learning_rate", "validation_auroc"))
    better = [later > max(scores[:index]) for index, later in enumerate(scores) if index]
    assert any(better)
    lowered = [later < earlier for earlier, later in itertools.pairwise(rates[1:])]
    assert lowered == [not step for step in better[:-1]]
