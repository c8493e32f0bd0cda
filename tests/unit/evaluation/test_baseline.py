"""A constant guess stands beside every model, and a model that is no better is told of."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import unbroken
from unbroken.reports.run import RunReport
from unbroken.run import open_run

ROWS = 500


def configured(folder: Path, label: Any, **training: Any) -> unbroken.Config:
    """Return a training on two columns of noise and a label."""
    draw = np.random.Generator(np.random.PCG64(0))
    columns = {f"x{index}": draw.standard_normal(ROWS) for index in range(2)}
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"row": np.arange(ROWS), **columns, "label": label}), folder / "rows.parquet")
    return unbroken.Config(
        data=unbroken.DataConfig(source=str(folder / "rows.parquet"), exclude=("row",)),
        split=unbroken.SplitConfig(kind="time", column="row"),
        training=unbroken.TrainingConfig(**training),
        runs_folder=str(folder / "runs"),
    )


def parts(label: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of the rows that train, and of those that test: the last."""
    values = np.asarray(label)
    return values[: ROWS * 72 // 100], values[ROWS * 80 // 100 :]


def test_of_two_classes_it_is_their_shares_in_the_rows_that_train(tmp_path: Path):
    label = [int(row % 4 == 0) for row in range(ROWS)]
    trained, tested = parts(label)

    metrics = unbroken.train(configured(tmp_path, label, epochs=1)).baselines["constant guess"]

    assert metrics["test_loss"] == pytest.approx(-np.log(np.where(tested, trained.mean(), 1 - trained.mean())).mean())
    assert metrics["test_accuracy"] == pytest.approx((tested == 0).mean())
    assert metrics["test_auroc"] == 0.5


def test_of_several_classes_it_is_their_shares_too(tmp_path: Path):
    label = ["often" if row % 6 < 3 else "seldom" if row % 6 < 5 else "rare" for row in range(ROWS)]
    trained, tested = parts(label)

    metrics = unbroken.train(configured(tmp_path, label, epochs=1)).baselines["constant guess"]

    assert metrics["test_loss"] == pytest.approx(-np.mean([np.log((trained == name).mean()) for name in tested]))
    assert metrics["test_accuracy"] == pytest.approx((tested == "often").mean())


def test_of_a_number_it_is_the_mean(tmp_path: Path):
    label = np.random.Generator(np.random.PCG64(1)).normal(7.0, 3.0, ROWS)
    trained, tested = parts(label)

    metrics = unbroken.train(configured(tmp_path, label, epochs=1)).baselines["constant guess"]

    assert metrics["test_rmse"] == pytest.approx(np.sqrt(((tested - trained.mean()) ** 2).mean()))


def test_a_model_that_learns_is_better_and_one_of_noise_is_said_to_be_none(tmp_path: Path):
    draw = np.random.Generator(np.random.PCG64(0))
    signal, noise = draw.standard_normal(ROWS) > 0, draw.integers(0, 2, ROWS)
    learnt, guessed = (
        configured(tmp_path / "learnt", signal.astype(int)),
        configured(tmp_path / "guessed", noise, epochs=200, patience=None, learning_rate=0.05, batch_size=16),
    )
    guessed = unbroken.Config(
        **{name: getattr(guessed, name) for name in ("data", "split", "training", "runs_folder")},
        checkpoint=unbroken.CheckpointConfig(publish="last"),
    )
    unbroken.train(learnt)
    unbroken.train(guessed)

    said = ["".join(RunReport.read(open_run(config)).baselines()) for config in (learnt, guessed)]

    assert ["no better than that" in line for line in said] == [False, True]
    assert all("(a constant guess" in line for line in said)
