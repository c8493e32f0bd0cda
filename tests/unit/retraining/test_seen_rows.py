"""Rows that a champion saw do not judge it, though they come again in a file that grew and no time tells."""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.retraining.monthly import arrives, config_for, month, registry, retrain
from unbroken import pipeline
from unbroken.config import RetrainConfig
from unbroken.data.dataset import Slice
from unbroken.data.schema import Column
from unbroken.data.sources import SourceFile
from unbroken.errors import CorruptCheckpointError, DataError
from unbroken.retraining.datasets import CycleDatasets, prepare_data
from unbroken.retraining.new_data import find_new_data
from unbroken.retraining.seen_rows import matches, record_path, row_digests
from unbroken.serving.registry import Registry


def prepared(config: RetrainConfig) -> CycleDatasets:
    cycle = find_new_data(config)
    assert cycle is not None
    return prepare_data(cycle, config)


def values(path: str) -> list[float]:
    return pq.read_table(path)["x"].to_pylist()


def joined(*months: pa.Table) -> pa.Table:
    return pa.concat_tables(months)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_of_a_file_that_grew_only_the_rows_that_came_judge(
    tmp_path: Path, ending: str, caplog: pytest.LogCaptureFixture
):
    config = config_for(tmp_path)
    arrives(tmp_path, f"all.{ending}", month(1))
    retrain(config)
    arrives(tmp_path, f"all.{ending}", joined(month(1), month(2, rows=200)))

    with caplog.at_level(logging.WARNING):
        datasets = prepared(config)

    assert values(datasets.new.path) == month(2, rows=200)["x"].to_pylist()
    assert set(values(datasets.test.path)) <= set(month(2, rows=200)["x"].to_pylist())
    assert datasets.replay is not None
    assert set(values(datasets.replay.path)) <= set(month(1)["x"].to_pylist())
    assert f"all.{ending}: the champion has seen 400 of 600 rows: they do not judge" in caplog.text


def test_a_file_goes_on_growing(tmp_path: Path):
    config = config_for(tmp_path)
    months = [month(seed, rows=300) for seed in range(4)]
    for count in range(1, 5):
        arrives(tmp_path, "all.csv", joined(*months[:count]))
        if count == 4:
            break
        retrain(config)

    datasets = prepared(config)

    champions = len(registry(config).pointer.champions)
    assert champions >= 1
    assert not set(values(datasets.test.path)) & set(months[0]["x"].to_pylist())
    assert set(months[3]["x"].to_pylist()) <= set(values(datasets.new.path))


@pytest.mark.parametrize("order", ["shuffled", "kept beside", "window"])
def test_seen_rows_are_known_in_any_order_and_any_file(tmp_path: Path, order: str):
    config = config_for(tmp_path)
    arrives(tmp_path, "1.parquet", month(1))
    retrain(config)
    rows = joined(month(1).slice(200 if order == "window" else 0), month(2, rows=200))
    rows = rows.take(np.random.default_rng(0).permutation(len(rows)))
    if order != "kept beside":
        (tmp_path / "in" / "1.parquet").unlink()
    arrives(tmp_path, "2.parquet", rows)

    datasets = prepared(config)

    assert sorted(values(datasets.new.path)) == sorted(month(2, rows=200)["x"].to_pylist())


def test_rows_that_judge_are_not_replayed_from_an_older_file_that_holds_them_too(tmp_path: Path):
    config = config_for(tmp_path, gate={"margin": 0.9}, settings={"replay": 9.0})
    arrives(tmp_path, "1.parquet", month(1))
    kept = retrain(config)
    assert not kept.verdict.promote
    Registry(tmp_path / "models" / "toy").promote(kept.challenger.digest)
    arrives(tmp_path, "2.parquet", joined(month(1), month(2)))
    assert not retrain(config).verdict.promote
    arrives(tmp_path, "3.parquet", joined(month(1), month(2), month(3)))

    datasets = prepared(config)

    assert sorted(values(datasets.new.path)) == sorted(joined(month(2), month(3))["x"].to_pylist())
    assert datasets.replay is not None
    assert not set(values(datasets.replay.path)) & set(values(datasets.test.path))


def test_a_file_that_was_only_written_anew_is_nothing_new(tmp_path: Path):
    config = config_for(tmp_path)
    path = arrives(tmp_path, "1.parquet", month(1))
    retrain(config)
    pq.write_table(month(1), path, compression="zstd")

    assert pipeline.retrain(config) is None


def test_months_of_few_different_rows_are_new_though_their_rows_equal_earlier_ones(tmp_path: Path):
    def coarse(seed: int) -> pa.Table:
        rows = month(seed)
        return pa.table({"code": rows["code"], "x": pa.array(np.sign(rows["x"].to_numpy())), "y": rows["y"]})

    config = config_for(tmp_path)
    arrives(tmp_path, "1.parquet", coarse(1))
    retrain(config)
    arrives(tmp_path, "2.parquet", coarse(2))
    assert prepared(config).new.rows == 400
    (tmp_path / "in" / "2.parquet").unlink()
    arrives(tmp_path, "1.parquet", joined(coarse(1), coarse(2)))
    assert prepared(config).new.rows == 400


def test_a_watermark_column_that_is_named_later_does_not_make_seen_rows_judge(tmp_path: Path):
    times = {"time": pa.array(range(400), pa.timestamp("s"))}
    later = {"time": pa.array(range(400, 600), pa.timestamp("s"))}
    arrives(tmp_path, "all.parquet", month(1, 400, **times))
    retrain(config_for(tmp_path, label="y", exclude=("time",)))
    arrives(tmp_path, "all.parquet", joined(month(1, 400, **times), month(2, 200, **later)))

    datasets = prepared(config_for(tmp_path, label="y", exclude=("time",), settings={"watermark_column": "time"}))

    assert values(datasets.new.path) == month(2, rows=200)["x"].to_pylist()


def test_a_champion_without_a_record_is_judged_by_new_files_and_not_by_changed_ones(tmp_path: Path):
    config = config_for(tmp_path)
    arrives(tmp_path, "1.parquet", month(1))
    first = retrain(config)
    record_path(first.challenger.path).unlink()
    arrives(tmp_path, "2.parquet", month(2))
    assert prepared(config).new.rows == 400
    (tmp_path / "in" / "2.parquet").unlink()
    arrives(tmp_path, "1.parquet", joined(month(1), month(2)))

    with pytest.raises(DataError, match=r"found files changed or gone.*kept no digests of its rows.*gate\.replace"):
        pipeline.retrain(config)

    assert registry(config).champion() == first.challenger
    second = retrain(config_for(tmp_path, gate={"replace": True}))
    assert (second.verdict.champion, second.verdict.rows) == (0.5, 160)


def test_a_changed_record_is_refused(tmp_path: Path):
    config = config_for(tmp_path)
    arrives(tmp_path, "1.parquet", month(1))
    path = record_path(retrain(config).challenger.path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    arrives(tmp_path, "2.parquet", month(2))

    with pytest.raises(CorruptCheckpointError, match=r"\.rows: found SHA-256"):
        pipeline.retrain(config)


def test_of_equal_rows_as_many_are_seen_as_were():
    seen = np.sort(np.array([7, 7, 9], np.uint64))

    mask = matches(np.array([7, 8, 7, 7, 9, 9], np.uint64), seen)

    assert mask.tolist() == [True, False, True, False, True, False]


def test_a_digest_is_that_of_the_values_whatever_their_types():
    columns = (Column(name="a", kind="number"), Column(name="b", kind="category"))

    def digests(**arrays: pa.Array) -> list[int]:
        return row_digests(Slice(SourceFile(url="a"), 0, pa.record_batch(arrays)), columns).tolist()

    plain = digests(a=pa.array([1.0, -0.0, None]), b=pa.array(["4", "x", None]))
    assert plain == digests(
        a=pa.array([1.0, 0.0, np.nan], pa.float32()), b=pa.array(["4", "x", None], pa.large_string())
    )
    assert plain[0] == digests(a=pa.array([1]), b=pa.array([4]))[0]
    assert len({*plain, *digests(a=pa.array([1.0, None]), b=pa.array([None, "4"]))}) == 5
