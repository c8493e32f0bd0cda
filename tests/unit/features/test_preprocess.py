"""What the encoder learns, it learns from training rows alone."""

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.stages import HALVES, Prepared, hundred, loaded, prepared, write
from unbroken import pipeline
from unbroken.config import Config, DataConfig, PreprocessConfig, SplitConfig
from unbroken.data.split import TRAIN, assign
from unbroken.errors import DataError
from unbroken.features import fit as fitting
from unbroken.features.encoder import Encoder
from unbroken.features.fit import fit
from unbroken.run import open_run

ROWS = 300
SPLITS = [
    SplitConfig(),
    SplitConfig(validation_fraction=0.2, seed=5),
    SplitConfig(kind="stratified"),
    SplitConfig(kind="group", column="group"),
    SplitConfig(kind="time", column="time"),
]


def columns(label: str) -> dict[str, Any]:
    draw = np.random.Generator(np.random.PCG64(1))
    return {
        "number": [None if value < -1 else float(value) for value in draw.standard_normal(ROWS)],
        "count": draw.integers(0, 50, ROWS).tolist(),
        "flag": (draw.random(ROWS) < 0.5).tolist(),
        "colour": draw.choice(["red", "green", "blue"], ROWS).tolist(),
        "group": [row // 3 for row in range(ROWS)],
        "time": [np.datetime64("2020-01-01", "s") + np.timedelta64(7 * row, "h") for row in range(ROWS)],
        "label": [row % 3 for row in range(ROWS)] if label == "classes" else draw.standard_normal(ROWS).tolist(),
    }


def outlandish(before: dict[str, Any], held_out: np.ndarray) -> dict[str, Any]:
    """Return the same rows, but those held out with values that training rows never have."""
    strange = {"number": 1e12, "count": -(10**9), "flag": None, "colour": "never seen in training"}
    changed = {
        name: [strange[name] if out else value for value, out in zip(before[name], held_out, strict=True)]
        for name in strange
    }
    if isinstance(before["label"][0], float):
        changed["label"] = [1e9 if out else value for value, out in zip(before["label"], held_out, strict=True)]
    return before | changed


@pytest.mark.parametrize("clip_quantile", [0.0, 0.05])
@pytest.mark.parametrize("label", ["classes", "amounts"])
@pytest.mark.parametrize("split", SPLITS, ids=lambda split: split.kind)
def test_changing_test_rows_changes_no_fitted_value(
    split: SplitConfig, label: str, clip_quantile: float, tmp_path: Path
):
    if (split.kind, label) == ("stratified", "amounts"):
        split = dataclasses.replace(split, kind="random", seed=9)
    before = columns(label)
    path = Path(write(tmp_path / "a.parquet", before))
    options = {"scaling": PreprocessConfig(clip_quantile=clip_quantile), "split": split, "label": "label"}
    first = prepared(path, tmp_path, **options)
    parts = assign(first.manifest, split)(0, ROWS)

    write(path, outlandish(before, parts != TRAIN))
    second = prepared(path, tmp_path, **options)

    assert second.run.key != first.run.key  # other data
    assert second.encoder == first.encoder
    assert second.train.equals(first.train)
    assert not second.test.equals(first.test)


def test_changing_a_training_row_does_change_what_is_fitted(tmp_path: Path):
    before = columns("classes")
    path = Path(write(tmp_path / "a.parquet", before))
    first = prepared(path, tmp_path)
    row = int(np.flatnonzero(assign(first.manifest, SplitConfig())(0, ROWS) == TRAIN)[0])

    before["number"][row] = 1e6
    write(path, before)

    assert prepared(path, tmp_path).encoder != first.encoder


def test_fitted_values_are_those_of_the_training_rows(tmp_path: Path):
    before = columns("amounts")
    found = prepared(write(tmp_path / "a.parquet", before), tmp_path)
    training = assign(found.manifest, SplitConfig())(0, ROWS) == TRAIN
    numbers = np.array(before["number"], float)[training]
    labels = np.array(before["label"])[training]

    scale = found.encoder.numbers[0]

    assert (scale.low, scale.high) == (np.nanmin(numbers), np.nanmax(numbers))
    assert scale.fill == pytest.approx(np.nanmean(numbers), rel=1e-14)
    assert scale.indicator
    assert found.encoder.label.mean == pytest.approx(labels.mean(), rel=1e-12)
    assert found.encoder.label.deviation == pytest.approx(labels.std(), rel=1e-12)


def test_files_and_row_groups_do_not_change_the_inputs(tmp_path: Path):
    table = pa.table(columns("classes"))
    one = prepared(write(tmp_path / "one.parquet", table), tmp_path)
    for number in range(3):
        write(tmp_path / f"many/{number}.parquet", table.slice(100 * number, 100), row_group_size=17)
    many = prepared(tmp_path / "many", tmp_path)

    assert many.rows.schema == one.rows.schema
    for name in one.rows.column_names:
        assert np.allclose(many.rows[name].to_numpy(), one.rows[name].to_numpy(), rtol=1e-6), name
    assert many.rows["count"].equals(one.rows["count"])


def test_inputs_are_float32_codes_int32_and_the_label_last(tmp_path: Path):
    found = prepared(write(tmp_path / "a.parquet", columns("classes")), tmp_path)

    types = {field.name: field.type for field in found.rows.schema}

    assert list(types) == found.encoder.features.columns
    assert types.pop("label") == pa.int64()
    assert types.pop("colour") == pa.int32()
    assert set(types.values()) == {pa.float32()}


def with_x(column: Any, folder: Path, **options: Any) -> Prepared:
    return prepared(write(folder / "a.parquet", hundred(column)), folder, **options)


def test_a_constant_column_that_is_kept_is_0(tmp_path: Path):
    assert set(with_x([3.5] * 100, tmp_path, keep=("x",)).rows["x"].to_pylist()) == {0.0}


def test_quantiles_keep_an_outlier_from_pressing_all_else_together(tmp_path: Path):
    values = [float(row) for row in range(99)] + [1e9]
    split = SplitConfig(kind="time", column="row", test_fraction=0.01)
    values[0], values[99] = values[99], values[0]  # the outlier is the first row, which trains

    plain = with_x(values, tmp_path / "plain", split=split)
    clipped = with_x(values, tmp_path / "clipped", split=split, scaling=PreprocessConfig(clip_quantile=0.02))

    assert sorted(plain.rows["x"].to_pylist())[-2] < 1e-6
    assert sorted(clipped.rows["x"].to_pylist())[50] == pytest.approx(0.5, abs=0.02)
    scale = clipped.encoder.numbers[1]
    training = np.array(values[:99])
    assert scale.low == np.quantile(training, 0.02, method="nearest")
    assert scale.high == np.quantile(training, 0.98, method="nearest")


def test_a_column_whose_quantiles_coincide_keeps_its_range(tmp_path: Path):
    values = [0.0] * 95 + [1.0, 2.0, 3.0, 4.0, 5.0]

    found = with_x(values, tmp_path, scaling=PreprocessConfig(clip_quantile=0.2), split=SplitConfig(kind="stratified"))

    assert found.encoder.numbers[1].low < found.encoder.numbers[1].high


def test_quantiles_of_a_sample_are_used_when_the_rows_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fitting, "QUANTILE_ROWS", 2000)
    draw = np.random.Generator(np.random.PCG64(0))
    table = {"x": draw.random(20_000), "sparse": [None] * 19_999 + [1.0], "label": [0, 1] * 10_000}
    split = SplitConfig(kind="time", column="x", test_fraction=0.01)
    table["sparse"][int(table["x"].argmin())] = 2.0  # the earliest row trains

    found = prepared(
        write(tmp_path / "a.parquet", table), tmp_path, scaling=PreprocessConfig(clip_quantile=0.1), split=split
    )

    assert found.encoder.numbers[0].low == pytest.approx(0.1, abs=0.03)
    assert found.encoder.numbers[0].high == pytest.approx(0.89, abs=0.03)
    assert 2.0 in {found.encoder.numbers[1].low, found.encoder.numbers[1].high}


def test_means_of_huge_values_do_not_overflow(tmp_path: Path):
    found = with_x([1.5e308, 1.7e308] * 50, tmp_path)

    assert 1.5e308 < found.encoder.numbers[1].fill < 1.7e308
    assert set(found.rows["x"].to_pylist()) == {0.0, 1.0}


def test_a_label_far_from_zero_keeps_its_deviation(tmp_path: Path):
    """Adding up squares would lose every digit of it: 1e9 squared is 1e18, which floats count in steps of 128."""
    label = [1e9 + row % 10 / 10 for row in range(100)]
    found = prepared(write(tmp_path / "a.parquet", hundred(HALVES, label)), tmp_path, task="regression")
    training = np.array(label)[assign(found.manifest, SplitConfig())(0, 100) == TRAIN]

    assert found.encoder.label.deviation == pytest.approx(training.std(), rel=1e-6)
    assert np.std(found.train["label"].to_numpy()) == pytest.approx(1, rel=1e-5)


def test_a_label_too_large_to_square_is_an_error(tmp_path: Path):
    path = write(tmp_path / "a.parquet", hundred(HALVES, [row * 1e300 for row in range(100)]))

    with pytest.raises(DataError, match=r"a\.parquet: label label: too large to be squared"):
        prepared(path, tmp_path)


def test_the_most_frequent_categories_get_codes_and_the_rest_share_one(tmp_path: Path):
    texts = ["often"] * 60 + ["sometimes"] * 30 + [f"once {row}" for row in range(10)]

    found = with_x(texts, tmp_path, scaling=PreprocessConfig(max_categories=2), split=SplitConfig(kind="stratified"))

    assert found.encoder.categories[0].values == ("often", "sometimes")
    assert found.rows["x"].to_pylist() == [2] * 60 + [3] * 30 + [0] * 10


def test_the_same_run_gives_the_same_bytes(tmp_path: Path):
    path = write(tmp_path / "a.parquet", columns("classes"))
    one, two = (prepared(path, tmp_path / name) for name in ("one", "two"))

    for name in ("dataset.json", "scaler.json", "split.bin", "preprocessed.parquet", "train.parquet", "test.parquet"):
        assert (one.run.data / name).read_bytes() == (two.run.data / name).read_bytes()


def test_a_name_taken_by_a_derived_column_is_an_error(tmp_path: Path):
    table = hundred([None, 1.0] * 50) | {"x__missing": range(100), "label": HALVES}

    with pytest.raises(DataError, match=r"a\.parquet: column x__missing: the name is needed for a derived column"):
        prepared(write(tmp_path / "a.parquet", table), tmp_path, label="label")


def test_a_streamed_fit_equals_that_of_one_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path / "a.parquet", columns("amounts"))
    manifest = loaded(path, tmp_path)
    parts_of = assign(manifest, SplitConfig())
    whole = fit(manifest, PreprocessConfig(), parts_of)
    monkeypatch.setattr("unbroken.data.parquet.BATCH_ROWS", 7)
    streamed = fit(manifest, PreprocessConfig(), parts_of)

    for one, other in zip(whole.numbers, streamed.numbers, strict=True):
        assert (one.low, one.high, one.indicator) == (other.low, other.high, other.indicator)
        assert one.fill == pytest.approx(other.fill, rel=1e-12)
    assert whole.categories == streamed.categories
    assert whole.label.deviation == pytest.approx(streamed.label.deviation, rel=1e-12)


def test_values_of_few_rows_share_the_code_of_unseen_ones(tmp_path: Path):
    texts = ["often"] * 60 + ["twice"] * 2 + ["five times"] * 5 + [f"once {row}" for row in range(33)]
    path = write(tmp_path / "a.parquet", hundred(texts, [row % 3 / 3 for row in range(100)]))
    config = Config(
        data=DataConfig(source=path, keep=("row",)),
        split=SplitConfig(test_fraction=0.01, validation_fraction=0.0),
        runs_folder=str(tmp_path / "runs"),
    )

    encoders = {}
    for least in (1, 2, 5, "auto"):
        preprocess = PreprocessConfig(min_category_count=least)
        made = pipeline.prepare(
            replace(config, preprocess=preprocess), open_run(replace(config, preprocess=preprocess))
        )
        encoders[least] = Encoder.load(Path(made.preprocessed.encoder.path)).categories[0].values

    assert len(encoders[1]) > 30
    assert encoders[2] == ("five times", "often", "twice")
    assert encoders[5] == encoders["auto"] == ("five times", "often")


def test_a_hundredth_of_the_rows_that_train_hold_a_category_as_if_it_were_unseen(tmp_path: Path):
    rows = 20_000
    draw = np.random.Generator(np.random.PCG64(0))
    table = {name: np.array(["a", "b", "c"])[draw.integers(0, 3, rows)] for name in ("first", "second")}
    path = write(tmp_path / "a.parquet", {**table, "label": draw.standard_normal(rows)})
    config = Config(data=DataConfig(source=path), runs_folder=str(tmp_path / "runs"))

    made, again = (
        pipeline.prepare(replace(config, runs_folder=folder), open_run(replace(config, runs_folder=folder)))
        for folder in (str(tmp_path / "one"), str(tmp_path / "two"))
    )

    parts = {name: pq.read_table(getattr(made.splits, name).path) for name in ("train", "validation", "test")}
    unseen = {
        name: [np.mean(part[column].to_numpy() == 0) for column in ("first", "second")] for name, part in parts.items()
    }
    assert unseen["train"] == pytest.approx([0.01, 0.01], rel=0.2)
    assert unseen["validation"] == unseen["test"] == [0, 0]
    first, second = (parts["train"][column].to_numpy() == 0 for column in ("first", "second"))
    assert (first & second).sum() < 10  # each column on its own
    assert made.splits.train.digest == again.splits.train.digest
