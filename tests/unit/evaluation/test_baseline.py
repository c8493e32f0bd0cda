"""A constant guess stands beside every model, and a model that is no better is told of."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

import unbroken
from unbroken.cli.main import answer
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


@pytest.mark.slow
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

    assert ["(constant guess: the loss of the model is no better)" in line for line in said] == [False, True]
    assert all("(constant guess" in line for line in said)


TASKS: dict[str, Any] = {
    "two classes": lambda value: value > 0.5,
    "three classes": lambda value: np.digitize(value, [-1, 1]).astype(str),
    "numbers": lambda value: 10 * value,
}


@pytest.mark.parametrize("name", TASKS)
def test_gradient_boosting_is_fitted_to_the_rows_that_train_and_scored_on_those_that_test(name: str, tmp_path: Path):
    draw = np.random.Generator(np.random.PCG64(0))
    x, kind = draw.standard_normal((2000, 2)), draw.integers(0, 3, 2000)
    label = TASKS[name](x[:, 0] * (kind - 1) + 0.3 * draw.standard_normal(2000))
    columns = {"x": x[:, 0], "y": x[:, 1], "kind": np.array(["a", "b", "c"])[kind], "row": np.arange(2000)}
    pq.write_table(pa.table({**columns, "label": label}), tmp_path / "rows.parquet")
    config = unbroken.Config(
        data=unbroken.DataConfig(source=str(tmp_path / "rows.parquet"), exclude=("row",)),
        split=unbroken.SplitConfig(kind="time", column="row"),
        training=unbroken.TrainingConfig(epochs=1, batch_size=500),
        runs_folder=str(tmp_path / "runs"),
    )

    metrics = unbroken.train(config).baselines["gradient boosting"]

    frame = pd.DataFrame({**columns, "kind": pd.Categorical(columns["kind"])}).drop(columns="row")
    estimator = (HistGradientBoostingRegressor if name == "numbers" else HistGradientBoostingClassifier)(
        random_state=0, categorical_features="from_dtype"
    ).fit(frame[:1440], label[:1440])
    score = estimator.score(frame[1600:], label[1600:])
    assert metrics["test_r2" if name == "numbers" else "test_accuracy"] == pytest.approx(score, abs=0.02)
    assert score > 0.7


@pytest.mark.parametrize(
    ("rows", "baseline", "words"), [(400, "trees", "288 rows train, fewer than 500"), (1000, "constant", None)]
)
def test_gradient_boosting_is_left_out_with_the_reason(rows: int, baseline: Any, words: str | None, tmp_path: Path):
    draw = np.random.Generator(np.random.PCG64(0))
    table = {"x": draw.standard_normal(rows), "label": draw.integers(0, 2, rows)}
    pq.write_table(pa.table(table), tmp_path / "rows.parquet")
    config = unbroken.Config(
        data=unbroken.DataConfig(source=str(tmp_path / "rows.parquet")),
        training=unbroken.TrainingConfig(epochs=1),
        checkpoint=unbroken.CheckpointConfig(baseline=baseline),
        runs_folder=str(tmp_path / "runs"),
    )
    model = unbroken.train(config)

    said = RunReport.read(open_run(config)).baselines()

    assert list(model.baselines) == ["constant guess"]
    assert said[1:] == ([f"gradient boosting is left out: {words}"] if words else [])


@pytest.mark.parametrize(("factory", "tried"), [("mlp", True), ("plr", False)])
def test_where_gradient_boosting_is_better_another_preset_is_named(
    factory: str, tried: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    draw = np.random.Generator(np.random.PCG64(0))
    x = draw.standard_normal(1000)
    pq.write_table(pa.table({"x": x, "label": (x * 3 % 1 > 0.5).astype(int)}), tmp_path / "rows.parquet")

    words = ["train", "--no-orchestrator", "--data.source", str(tmp_path / "rows.parquet"), "--model.factory", factory]
    assert answer([*words, "--training.epochs", "1", "--runs_folder", str(tmp_path / "runs")]) == 0

    said = capsys.readouterr().out
    assert "(gradient boosting: the loss of the model is no better)" in said
    assert ("try         --model.factory tabm" in said) == tried
