"""Which rows train and which test: exact, repeatable, and as the kind of split promises."""

import datetime
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.stages import HALVES, hundred, loaded, opened, prepared, write
from unbroken.config import SplitConfig
from unbroken.data.dataset import Manifest
from unbroken.data.schema import Column, Schema
from unbroken.data.sources import SourceFile
from unbroken.data.split import TEST, TRAIN, VALIDATION, assign
from unbroken.errors import DataError
from unbroken.stages.load_data import load_data
from unbroken.stages.preprocess import preprocess
from unbroken.stages.split import split_dataset

ROWS = [float(row) for row in range(100)]


def parts_of(manifest: Manifest, config: SplitConfig) -> np.ndarray:
    return assign(manifest, config)(0, manifest.rows)


def random_parts(rows: int, config: SplitConfig) -> np.ndarray:
    schema = Schema(features=(), label=Column(name="label", kind="number"), task="regression", classes=())
    files = (SourceFile(url="never read"),)
    return parts_of(Manifest(fingerprint="", files=files, rows=rows, schema=schema), config)


@settings(deadline=None)
@given(
    rows=st.integers(10, 40_000),
    test=st.floats(0.1, 0.5),
    validation=st.sampled_from([0.0, 0.1, 0.25]),
    seed=st.integers(0, 2**63),
)
def test_fractions_are_exact(rows: int, test: float, validation: float, seed: int):
    config = SplitConfig(test_fraction=test, validation_fraction=validation, seed=seed)

    parts = random_parts(rows, config)

    assert (parts == TEST).sum() == round(rows * test)
    assert (parts == VALIDATION).sum() == round(rows * validation)
    assert len(parts) == rows


def test_a_split_repeats_itself_and_another_seed_gives_another():
    once, again = (random_parts(1000, SplitConfig(seed=3)) for _ in range(2))

    assert np.array_equal(once, again)
    assert not np.array_equal(once, random_parts(1000, SplitConfig(seed=4)))


def test_any_stretch_of_a_split_equals_that_of_the_whole():
    schema = Schema(features=(), label=Column(name="label", kind="number"), task="regression", classes=())
    manifest = Manifest(fingerprint="", files=(SourceFile(url="never read"),), rows=50_000, schema=schema)
    assignment = assign(manifest, SplitConfig())

    assert np.array_equal(assignment(20_001, 30_007), assignment(0, 50_000)[20_001:30_007])


def test_every_row_lands_in_one_part_in_its_order(tmp_path: Path):
    path = write(tmp_path / "a.parquet", hundred(ROWS))

    found = prepared(path, tmp_path, split=SplitConfig(validation_fraction=0.1))

    assert found.splits.validation is not None
    parts = [found.splits.train, found.splits.validation, found.splits.test]
    assert [part.rows for part in parts] == [70, 10, 20]
    rows = [pq.read_table(part.path)["row"].to_pylist() for part in parts]
    assert all(part == sorted(part) for part in rows)
    assert str(found.splits) == "70 train / 10 validation / 20 test"


@pytest.mark.parametrize("label", [HALVES, [int(row < 7) for row in range(100)], ["a"] * 30 + ["b"] * 51 + ["c"] * 19])
def test_a_stratified_split_keeps_the_shares_of_the_classes(label: list[Any], tmp_path: Path):
    path = write(tmp_path / "a.parquet", hundred(ROWS, label))
    config = SplitConfig(kind="stratified", test_fraction=0.3, validation_fraction=0.15)

    parts = parts_of(loaded(path, tmp_path), config)

    for part, fraction in ((TEST, 0.3), (VALIDATION, 0.15)):
        assert (parts == part).sum() == round(100 * fraction)
        found = Counter(value for value, its in zip(label, parts, strict=True) if its == part)
        assert all(abs(found[value] - count * fraction) < 1 for value, count in Counter(label).items())


def test_a_stratified_split_leaves_a_row_of_each_class_to_train(tmp_path: Path):
    label = [f"class {row % 10}" for row in range(12)]
    path = write(tmp_path / "a.parquet", {"x": [float(row) for row in range(12)], "label": label})
    config = SplitConfig(kind="stratified", test_fraction=0.09, validation_fraction=0.09)

    parts = parts_of(loaded(path, tmp_path), config)

    assert Counter(parts.tolist()) == {TRAIN: 10, VALIDATION: 1, TEST: 1}
    assert {value for value, part in zip(label, parts, strict=True) if part == TRAIN} == set(label)


@pytest.mark.parametrize(
    "groups",
    [
        [row // 5 for row in range(100)],
        [f"customer {row % 17}" for row in range(100)],
        pa.array([f"customer {row % 17}" for row in range(100)]).dictionary_encode(),
        [row % 2 == 0 for row in range(100)],
    ],
)
def test_a_grouped_split_keeps_groups_whole(groups: Any, tmp_path: Path):
    path = write(tmp_path / "a.parquet", hundred(groups))

    parts = parts_of(loaded(path, tmp_path), SplitConfig(kind="group", column="x", test_fraction=0.4))

    part_of = dict(zip(pa.array(groups).to_pylist(), parts.tolist(), strict=True))
    assert [part_of[group] for group in pa.array(groups).to_pylist()] == parts.tolist()
    assert {TRAIN, TEST} == set(parts.tolist())


def test_a_grouped_split_comes_close_to_the_fractions(tmp_path: Path):
    path = write(tmp_path / "a.parquet", hundred([row // 4 for row in range(100)]))

    for seed in range(20):
        parts = parts_of(loaded(path, tmp_path), SplitConfig(kind="group", column="x", seed=seed))
        assert abs((parts == TEST).sum() - 20) <= 4


DAYS = [datetime.date(2020, 1, 1) + datetime.timedelta(days=(row * 37) % 100) for row in range(100)]


@pytest.mark.parametrize(
    "times",
    [
        [(row * 37) % 100 for row in range(100)],
        [float((row * 37) % 100) for row in range(100)],
        DAYS,
        [datetime.datetime.combine(day, datetime.time()) for day in DAYS],
        pa.array([datetime.datetime.combine(day, datetime.time()) for day in DAYS], pa.timestamp("s", "Asia/Tokyo")),
    ],
)
def test_a_split_by_time_tests_on_the_latest_rows(times: Any, tmp_path: Path):
    path = write(tmp_path / "a.parquet", hundred(times))
    config = SplitConfig(kind="time", column="x", validation_fraction=0.1)

    parts = parts_of(loaded(path, tmp_path), config)

    by_time = [part for _, part in sorted(zip([(row * 37) % 100 for row in range(100)], parts.tolist(), strict=True))]
    assert by_time == [TRAIN] * 70 + [VALIDATION] * 10 + [TEST] * 20


def test_the_column_of_a_split_need_be_no_feature_and_may_stand_in_the_path(tmp_path: Path):
    for year in range(2010, 2020):
        write(tmp_path / f"data/year={year}/a.parquet", hundred(ROWS))

    manifest = loaded(tmp_path / "data", tmp_path, exclude=("year",))
    parts = parts_of(manifest, SplitConfig(kind="time", column="year"))

    assert parts.tolist() == [TRAIN] * 800 + [TEST] * 200


def test_files_may_hold_the_column_of_a_split_in_other_types(tmp_path: Path):
    write(tmp_path / "data/1.parquet", hundred(pa.array(range(100), pa.int64())))
    write(tmp_path / "data/2.parquet", hundred(pa.array(range(100, 200), pa.int16())))

    parts = parts_of(loaded(tmp_path / "data", tmp_path), SplitConfig(kind="time", column="x"))

    assert parts.tolist() == [TRAIN] * 160 + [TEST] * 40


def test_one_group_cannot_be_split(tmp_path: Path):
    path = write(tmp_path / "a.parquet", hundred(["one"] * 100))

    with pytest.raises(DataError, match=r"split\.kind group: found no row for the test part"):
        parts_of(loaded(path, tmp_path), SplitConfig(kind="group", column="x"))


def test_the_split_is_decided_once_before_the_fit_and_stage_3_needs_the_source_no_more(tmp_path: Path):
    path = Path(write(tmp_path / "a.parquet", hundred(ROWS)))
    split = SplitConfig(kind="time", column="row", validation_fraction=0.1)
    config, run = opened(path, tmp_path)
    preprocessed = preprocess(load_data(config.data, run), config.chosen.preprocess, split, run)
    path.unlink()

    parts = split_dataset(preprocessed, split, run)

    assert (parts.train.rows, parts.validation.rows if parts.validation else 0, parts.test.rows) == (70, 10, 20)
    assert preprocessed.assignment.parts(65, 95).tolist() == [TRAIN] * 5 + [VALIDATION] * 10 + [TEST] * 15


@pytest.mark.parametrize(("rare", "kind"), [(30, "stratified"), (49, "stratified"), (50, "random"), (90, "random")])
def test_a_split_is_stratified_by_itself_where_random_could_starve_a_class(rare: int, kind: Any, tmp_path: Path):
    label = [int(row < rare) for row in range(500)]
    path = write(tmp_path / "a.parquet", {"x": [row % 7 / 7 for row in range(500)], "label": label})
    manifest = loaded(path, tmp_path)

    left, named = parts_of(manifest, SplitConfig(kind="auto")), parts_of(manifest, SplitConfig(kind=kind))

    assert np.array_equal(left, named)
    others = (parts_of(manifest, SplitConfig(kind="random")), parts_of(manifest, SplitConfig(kind="stratified")))
    assert not np.array_equal(*others)
