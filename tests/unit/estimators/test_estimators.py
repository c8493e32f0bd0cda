"""Estimators as people use them: frames, pipelines, searches, pickles; and settings that cannot be."""

import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import has_fit_parameter

import unbroken
from tests.unit.estimators.rows import frame
from unbroken import UnbrokenClassifier, UnbrokenRegressor
from unbroken.storage.journal import Journal


def quick(**settings: Any) -> UnbrokenClassifier:
    defaults: dict[str, Any] = {"epochs": 2, "hidden": (8,)}
    return UnbrokenClassifier(**(defaults | settings))


def test_a_frame_of_all_kinds_of_columns_is_learnt_and_predicts_as_the_published_model_does(tmp_path: Path):
    rows, score = frame()
    labels = np.where(score > 0, "yes", "no")

    estimator = UnbrokenClassifier(epochs=30, learning_rate=0.02, validation_fraction=0).fit(rows, labels)
    shares = estimator.predict_proba(rows)

    assert estimator.classes_.tolist() == ["no", "yes"]
    assert vars(estimator)["feature_names_in_"].tolist() == rows.columns.tolist()
    assert (vars(estimator)["n_features_in_"], estimator.n_iter_) == (7, 30)
    assert estimator.score(rows, labels) > 0.9
    predictions = unbroken.load(estimator.model_.save(tmp_path)).predict(rows)
    assert predictions["probability"].to_numpy().astype(np.float64).tobytes() == shares[:, 1].tobytes()
    assert predictions["class"].to_pylist() == estimator.predict(rows).tolist()
    assert set(predictions["model"].to_pylist()) == {estimator.model_.digest}


@pytest.mark.parametrize(
    "labels",
    [["b", "a", "c"], [True, False], [3, 7], [2.0, 1.0, 5.0], [-1, 0, 1, 2], np.array(["x", "y"], dtype=object)],
)
def test_classes_of_any_type_come_back_as_they_were(labels: Any):
    rows, _ = frame(60)
    values = np.asarray(labels)[np.arange(60) % len(labels)]

    estimator = quick().fit(rows, values)
    shares = estimator.predict_proba(rows)

    assert estimator.classes_.tolist() == sorted(labels)
    assert estimator.predict(rows).dtype == values.dtype
    assert shares.shape == (60, len(labels))
    assert np.allclose(shares.sum(axis=1), 1)
    assert (estimator.predict(rows) == estimator.classes_[shares.argmax(axis=1)]).all()


def test_a_regressor_predicts_values_in_their_own_unit():
    rows, score = frame()

    estimator = UnbrokenRegressor(epochs=60, learning_rate=0.02).fit(rows, 1000 * score)

    assert estimator.score(rows, 1000 * score) > 0.8
    assert estimator.predict(rows).dtype == np.float64


@pytest.mark.slow
def test_a_pipeline_hands_frames_on_and_a_search_and_a_cross_validation_fit_it():
    rows, score = frame()
    scale = make_column_transformer(
        (StandardScaler(), ["first", "second"]), remainder="passthrough", verbose_feature_names_out=False
    )
    pipeline = make_pipeline(scale.set_output(transform="pandas"), quick())

    search = GridSearchCV(pipeline, {"unbrokenclassifier__hidden": [(4,), (8, 4)]}, cv=2).fit(rows, score > 0)
    scores = cross_val_score(pipeline, rows, score > 0, cv=3)

    best = search.best_estimator_.named_steps["unbrokenclassifier"]
    assert sorted(best.feature_names_in_) == sorted(rows.columns)
    assert search.predict(rows).dtype == bool
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert np.isfinite(scores).all()


@pytest.mark.slow
def test_a_pickled_estimator_predicts_the_same_in_another_process_without_its_run(tmp_path: Path):
    rows, score = frame(80)
    estimator = quick(run_dir=tmp_path / "runs").fit(rows, score > 0)
    expected = estimator.predict_proba(rows)
    assert estimator.model_.path is not None
    shutil.rmtree(tmp_path / "runs")
    (tmp_path / "estimator.pickle").write_bytes(pickle.dumps((estimator, rows)))
    script = (
        "import pickle, sys; estimator, rows = pickle.load(open(sys.argv[1], 'rb'))\n"
        "sys.stdout.buffer.write(estimator.predict_proba(rows).tobytes())"
    )

    command = [sys.executable, "-c", script, str(tmp_path / "estimator.pickle")]
    result = subprocess.run(command, capture_output=True, check=True)

    assert result.stdout == expected.tobytes()


def test_a_fit_that_ended_is_not_trained_again_and_more_epochs_train_on(tmp_path: Path):
    rows, score = frame(80)
    once = quick(run_dir=str(tmp_path)).fit(rows, score > 0)

    again, longer = clone(once).fit(rows, score > 0), clone(once).set_params(epochs=3).fit(rows, score > 0)

    assert again.model_.digest == once.model_.digest
    (run,) = tmp_path.glob("*/journal.jsonl")
    events = [event["event"] for event in Journal(run).events()]
    assert events.count("started") + events.count("resumed") == 2
    assert (once.n_iter_, longer.n_iter_) == (2, 3)
    assert longer.model_.digest == quick(epochs=3).fit(rows, score > 0).model_.digest
    assert len(list(tmp_path.glob("rows-*.parquet"))) == 1


def test_a_seed_decides_the_model_and_none_draws_one():
    rows, score = frame(60)

    digests = [quick(random_state=seed).fit(rows, score > 0).model_.digest for seed in (0, 0, 1, None, None)]

    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_class_weights_and_columns_that_are_names_reach_the_training():
    rows, score = frame()
    numbers = rows[["first", "second"]].assign(code=np.arange(200) % 3).to_numpy()
    weighted = quick(class_weight={True: 50.0}, epochs=20, validation_fraction=0).fit(numbers, score > 0)
    balanced = quick(class_weight="balanced").fit(numbers, score > 0)
    coded = quick(categorical_features=[2]).fit(numbers, score > 0)

    assert weighted.predict(numbers).mean() > 0.95
    assert balanced.model_.digest != quick().fit(numbers, score > 0).model_.digest
    assert [codes.name for codes in coded.model_.predictor.encoder.categories] == ["x2"]


def test_numbers_of_numpy_are_settings_as_a_search_draws_them():
    rows, score = frame(60)
    drawn = {"epochs": np.int64(2), "learning_rate": np.float64(0.01), "hidden": np.array([4, 4])}

    assert quick(**drawn).fit(rows, score > 0).n_iter_ == 2


def test_a_batch_is_all_rows_that_train_where_these_are_fewer(caplog: pytest.LogCaptureFixture):
    rows, score = frame(60)

    digests = {quick(batch_size=size).fit(rows, score > 0).model_.digest for size in (53, 54, 256, 4096)}

    assert len(digests) == 1
    assert "batch_size" not in caplog.text


def test_rows_have_no_weights_and_scikit_learn_is_told():
    assert not has_fit_parameter(UnbrokenClassifier(), "sample_weight")
    assert not has_fit_parameter(UnbrokenRegressor(), "sample_weight")


@pytest.mark.parametrize(
    ("settings", "labels", "message"),
    [
        ({"run_dir": "runs", "random_state": None}, [0, 1] * 30, "random_state: found None, expected a whole number"),
        ({"model": "forest"}, [0, 1] * 30, "model.factory: found 'forest'"),
        ({"test_fraction": 0.6, "validation_fraction": 0.5}, [0, 1] * 30, "expected below 1"),
        ({}, [1] * 60, "y: found one class, 1, expected at least two"),
        ({}, [0.0, np.nan] * 30, "Input y contains NaN"),
        ({}, None, "requires y to be passed"),
    ],
)
def test_what_cannot_be_fitted_is_a_value_error(settings: dict[str, Any], labels: Any, message: str):
    rows, _ = frame(60)
    with pytest.raises(ValueError, match=message):
        quick(**settings).fit(rows, labels)


def test_a_value_in_every_row_and_columns_without_any_value_are_refused():
    rows, score = frame(60)
    with pytest.raises(ValueError, match=r"y: found the value 7\.0 in every row"):
        UnbrokenRegressor().fit(rows, np.full(60, 7))
    with pytest.raises(ValueError, match="X: found no value in any of 1 columns"):
        quick().fit(pd.DataFrame({"empty": np.full(60, np.nan)}), score > 0)


def test_without_scikit_learn_the_way_out_is_said():
    script = "import sys; sys.modules['sklearn'] = None; import unbroken; unbroken.UnbrokenClassifier"

    result = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)

    assert result.stderr.splitlines()[-1].endswith("pip install 'unbroken[sklearn]'")
