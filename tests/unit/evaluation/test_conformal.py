"""Intervals and sets of classes hold the truth in the share of cases that is asked for."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import unbroken
from unbroken.cli.main import answer
from unbroken.errors import ConfigError
from unbroken.evaluation.conformal import MOST_SCORES, Calibration, calibrate
from unbroken.reports.run import RunReport
from unbroken.run import Run
from unbroken.serving.prediction import load_predictor

ROWS, FRESH = 4000, 6000


def rows_of(kind: str, rows: int, seed: int) -> pa.Table:
    """Return rows whose label follows two columns, with noise."""
    draw = np.random.Generator(np.random.PCG64(seed))
    x = draw.standard_normal((rows, 2))
    value = x.sum(axis=1) + draw.standard_normal(rows)
    labels = {"number": 10 * value, "two classes": value > 0.5, "three": np.digitize(value, [-1, 1]).astype(str)}
    return pa.table({"x": x[:, 0], "y": x[:, 1], "label": labels[kind]})


def trained(folder: Path, kind: str, rows: int = ROWS, **split: Any) -> unbroken.TrainedModel:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows_of(kind, rows, 0), folder / "rows.parquet")
    return unbroken.train(
        unbroken.Config(
            data=unbroken.DataConfig(source=str(folder / "rows.parquet")),
            split=unbroken.SplitConfig(**split),
            training=unbroken.TrainingConfig(epochs=4, learning_rate=0.01),
            runs_folder=str(folder / "runs"),
        )
    )


@pytest.mark.parametrize("share", [0.5, 0.8, 0.9, 0.95])
def test_the_threshold_is_the_error_of_the_rank_that_the_share_needs(share: float):
    errors = np.random.Generator(np.random.PCG64(0)).exponential(size=99)
    calibration = calibrate(errors)

    assert calibration is not None
    assert calibration.threshold(share) == np.sort(errors)[int(np.ceil(100 * share)) - 1]


def test_of_many_errors_some_are_kept_and_the_threshold_is_never_too_small():
    errors = np.random.Generator(np.random.PCG64(0)).exponential(size=123_457)
    calibration = calibrate(errors)

    assert calibration is not None
    assert len(calibration.scores) == MOST_SCORES
    for share in np.linspace(0.01, 0.999, 60):
        exact = np.sort(errors)[int(np.ceil((len(errors) + 1) * share)) - 1]
        assert exact <= calibration.threshold(share)
        assert (errors <= calibration.threshold(share)).mean() <= share + 2 / MOST_SCORES


def test_too_few_rows_are_said_with_how_many_it_takes():
    calibration = Calibration(rows=8, ranks=tuple(range(1, 9)), scores=tuple(float(rank) for rank in range(1, 9)))

    assert calibration.threshold(0.88) == 8.0
    with pytest.raises(ConfigError, match=r"interval: found 0\.9, which needs 9 rows that validate; there were 8"):
        calibration.threshold(0.9)


@pytest.mark.parametrize("kind", ["number", "two classes", "three"])
@pytest.mark.parametrize("share", [0.8, 0.9])
def test_fresh_rows_are_held_in_the_share_that_is_asked_for(kind: str, share: float, tmp_path: Path):
    model = trained(tmp_path, kind, validation_fraction=0.3)
    fresh = rows_of(kind, FRESH, 1)

    predicted = load_predictor(model.path, interval=share).predict(fresh).to_pydict()

    labels = fresh["label"].to_pylist()
    if kind == "number":
        held = [
            low <= label <= high for low, label, high in zip(predicted["low"], labels, predicted["high"], strict=True)
        ]
    else:
        held = [label in classes for label, classes in zip(labels, predicted["classes"], strict=True)]
        likeliest = zip(predicted["class"], predicted["classes"], strict=True)
        assert all(first in classes for first, classes in likeliest)
        assert share < 0.9 or len({len(classes) for classes in predicted["classes"]}) > 1
    assert np.mean(held) == pytest.approx(share, abs=0.03)


def test_a_prediction_without_interval_is_as_before(tmp_path: Path):
    model = trained(tmp_path, "number")
    fresh = rows_of("number", 50, 1)

    plain, sure = model.predict(fresh), load_predictor(model.path, interval=0.9).predict(fresh)

    assert plain.column_names == ["value", "model"]
    assert sure.drop(["low", "high"]).equals(plain)


def test_the_command_writes_them_and_scores_anew_for_another_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    model = trained(tmp_path, "number")
    words = ["predict", "--no-orchestrator", "--model", str(model.path), "--source", "rows.parquet"]
    widths = []
    for share in ("0.9", "0.9", "0.5"):
        assert answer([*words, "--interval", share]) == 0
        (path,) = (tmp_path / "predictions").rglob("*.parquet")
        table = pq.read_table(path)
        widths.append(table["high"][0].as_py() - table["low"][0].as_py())

    assert widths[0] == widths[1] > widths[2]


def test_a_model_that_no_rows_validated_refuses_with_the_way_out(tmp_path: Path):
    model = trained(tmp_path, "number", validation_fraction=0.0)

    with pytest.raises(
        ConfigError, match=r"checkpoint\.pth: interval: no rows validated this model.*split\.validation"
    ):
        load_predictor(model.path, interval=0.9)


@pytest.mark.parametrize(("kind", "words"), [("number", "+- "), ("three", "classes of probability 0.")])
def test_the_report_says_how_sure_it_is_and_what_the_test_rows_say_to_that(kind: str, words: str, tmp_path: Path):
    model = trained(tmp_path, kind)
    folder = model.path.parent

    report = RunReport.read(Run(key=folder.name, folder=str(folder), fingerprint="", parent=None))

    assert report.calibration().startswith(words)
    assert " 90% of what is to come, and " in report.calibration()
    assert abs(report.manifest["calibration"]["shown"]["covered"] - 0.9) < 0.06
