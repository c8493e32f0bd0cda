"""The test rows are scored once, for the epoch that is published, and choose nothing."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from tests.contract import run_stages, stopping_after
from unbroken import pipeline
from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, SplitConfig, TrainingConfig
from unbroken.run import open_run
from unbroken.stages import finished
from unbroken.storage.journal import Journal
from unbroken.storage.publication import published_manifest

ROWS, TESTED = 400, 80


def configured(folder: Path, *, flipped: bool = False) -> Config:
    """Return a training on rows the last of which test, their labels as they are or turned round."""
    draw = np.random.Generator(np.random.PCG64(0))
    numbers = draw.standard_normal((ROWS, 3))
    labels = numbers.sum(1) + draw.standard_normal(ROWS) > 0
    labels[ROWS - TESTED :] ^= flipped
    columns = {f"x{index}": numbers[:, index] for index in range(3)}
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table({"when": np.arange(ROWS), **columns, "label": labels.astype(np.int8)})
    pq.write_table(table, folder / "rows.parquet")
    return Config(
        data=DataConfig(source=str(folder / "rows.parquet"), keep=("when",)),
        split=SplitConfig(kind="time", column="when"),
        model=ModelConfig(options={"hidden": [8]}),
        training=TrainingConfig(batch_size=32, learning_rate=0.03, patience=3),
        checkpoint=CheckpointConfig(every_steps=4),
        runs_folder=str(folder / "runs"),
    )


def test_no_epoch_scores_them_and_the_manifest_says_how_the_published_one_fared(tmp_path: Path):
    config = configured(tmp_path)

    restored = run_stages(config)

    run = open_run(config)
    manifest = published_manifest(run.published)
    assert not [name for entry in manifest["history"] for name in entry if name.startswith("test_")]
    assert not [name for event in Journal(run.journal).events() for name in event if name.startswith("test_")]
    assert manifest["test_metrics"].keys() == {"test_loss", "test_accuracy", "test_auroc", "test_f1"}
    assert restored.metrics == manifest["test_metrics"] | {
        name: value for name, value in manifest["metrics"].items() if name.startswith("validation_")
    }


def test_other_labels_of_them_change_neither_the_weights_nor_the_epoch_but_the_scores(tmp_path: Path):
    straight = run_stages(configured(tmp_path / "straight"))
    flipped = run_stages(configured(tmp_path / "flipped", flipped=True))

    first, second = (torch.load(run.path, weights_only=True)["model_state_dict"] for run in (straight, flipped))
    assert straight.epoch == flipped.epoch
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert flipped.metrics["test_accuracy"] == 1 - straight.metrics["test_accuracy"]


def test_a_training_that_was_stopped_ends_with_the_same_scores_and_the_same_bytes(tmp_path: Path):
    straight = run_stages(configured(tmp_path / "straight"))
    config = configured(tmp_path / "stopped")
    for steps in (5, 23):
        with stopping_after(steps) as stop:
            run_stages(config, [stop])

    resumed = run_stages(config)

    assert (resumed.digest, resumed.metrics) == (straight.digest, straight.metrics)


def test_the_best_epoch_by_the_validation_rows_is_published_and_later_ones_are_told(tmp_path: Path):
    config = configured(tmp_path)

    restored = run_stages(config)

    manifest = published_manifest(open_run(config).published)
    losses = [entry["validation_loss"] for entry in manifest["history"] + manifest["later_history"]]
    assert restored.epoch == losses.index(min(losses)) + 1 == len(losses) - 3


def test_a_finished_run_is_finished_where_its_rows_do_not_define_a_metric(tmp_path: Path):
    config = configured(tmp_path)
    table = pq.read_table(tmp_path / "rows.parquet")
    labels = table["label"].to_numpy().copy()
    labels[ROWS - TESTED :] = 0
    pq.write_table(table.set_column(4, "label", pa.array(labels)), tmp_path / "rows.parquet")

    restored = pipeline.train(config)
    again = finished.load(open_run(config), config)

    assert math.isnan(restored.metrics["test_auroc"])
    assert again is not None
    assert math.isnan(again.metrics["test_auroc"])
