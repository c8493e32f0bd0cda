"""What is new: files by their content, rows by a time column."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unbroken.config import Config, DataConfig, RetrainConfig
from unbroken.data.sources import SourceFile, digest_files, find_files
from unbroken.errors import DataError
from unbroken.retraining.datasets import prepare_data
from unbroken.retraining.new_data import Cycle, find_new_data, registry_of
from unbroken.retraining.watermark import add_files, content_names, read_by_watermark, survey
from unbroken.serving.registry import NOTHING_SEEN, Watermark
from unbroken.storage.artifact import Artifact
from unbroken.storage.journal import Clock

START = datetime(2024, 1, 1)


def rows_at(path: Path, first: int, count: int = 40) -> str:
    """Write one row an hour from hour `first` on."""
    hours = [START + timedelta(hours=first + row) for row in range(count)]
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"time": hours, "hour": [float(first + row) for row in range(count)]})
    pq.write_table(table.append_column("label", pa.array([row % 2 for row in range(count)])), path)
    return str(path)


def config_for(folder: Path, **settings: object) -> RetrainConfig:
    train = Config(data=DataConfig(source=str(folder / "in")), runs_folder=str(folder / "runs"))
    return RetrainConfig(model="toy", models_folder=str(folder / "models"), train=train, **settings)  # ty: ignore[invalid-argument-type]


def cycle_in(config: RetrainConfig) -> Cycle:
    cycle = find_new_data(config)
    assert cycle is not None
    return cycle


def see(cycle: Cycle, config: RetrainConfig) -> None:
    """Move the watermark as the end of the cycle does."""
    registry = registry_of(config)
    for name in ("checkpoint.pth", "checkpoint.json", "profile.json"):
        (registry.folder.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (registry.folder.parent / name).write_text(cycle.folder)
    parts = [
        Artifact.of(registry.folder.parent / name) for name in ("checkpoint.pth", "checkpoint.json", "profile.json")
    ]
    registry.decide(
        registry.register(*parts),
        promote=False,
        expected_champion=None,
        expected_watermark=cycle.watermark,
        watermark=cycle.next_watermark,
    )


def hours(path: str) -> list[float]:
    return pq.read_table(path)["hour"].to_pylist()


def test_a_file_is_new_until_its_content_was_seen_whatever_its_name(tmp_path: Path):
    config = config_for(tmp_path)
    rows_at(tmp_path / "in" / "a.parquet", 0)
    first = cycle_in(config)
    assert [Path(file.url).name for file in first.new] == ["a.parquet"]
    see(first, config)
    assert find_new_data(config) is None

    (tmp_path / "in" / "a.parquet").rename(tmp_path / "in" / "z.parquet")
    assert find_new_data(config) is None

    rows_at(tmp_path / "in" / "a.parquet", 40)
    second = cycle_in(config)
    assert [Path(file.url).name for file in second.new] == ["a.parquet"]
    assert [Path(file.url).name for file in second.older] == ["z.parquet"]
    assert second.next_watermark == add_files(first.next_watermark, content_names(*named(tmp_path)))


def named(folder: Path) -> tuple[list[SourceFile], list[str]]:
    files = find_files(str(folder / "in"))
    return files, digest_files(files)


def test_a_file_that_was_rewritten_is_new(tmp_path: Path):
    config = config_for(tmp_path)
    rows_at(tmp_path / "in" / "a.parquet", 0)
    see(cycle_in(config), config)

    rows_at(tmp_path / "in" / "a.parquet", 0, count=41)

    assert len(cycle_in(config).new) == 1


def test_the_same_cycle_has_the_same_folder_and_another_file_or_setting_another(tmp_path: Path):
    config = config_for(tmp_path)
    rows_at(tmp_path / "in" / "a.parquet", 0)
    first = cycle_in(config).folder

    assert cycle_in(config).folder == first
    assert cycle_in(config_for(tmp_path, replay=0.0)).folder != first
    rows_at(tmp_path / "in" / "b.parquet", 40)
    assert cycle_in(config).folder != first


def test_the_values_of_hive_partitions_are_part_of_what_was_seen(tmp_path: Path):
    config = config_for(tmp_path)
    rows_at(tmp_path / "in" / "year=2023" / "a.parquet", 0)
    see(cycle_in(config), config)

    rows_at(tmp_path / "in" / "year=2024" / "a.parquet", 0)

    assert [file.partition for file in cycle_in(config).new] == [{"year": "2024"}]


def test_rows_after_the_watermark_are_new_also_in_a_file_that_grew(tmp_path: Path):
    config = config_for(tmp_path, watermark_column="time")
    rows_at(tmp_path / "in" / "a.parquet", 0, count=40)
    first = cycle_in(config)
    assert first.next_watermark.until == (START + timedelta(hours=39)).isoformat()
    see(first, config)

    rows_at(tmp_path / "in" / "a.parquet", 0, count=70)
    second = cycle_in(config)
    datasets = prepare_data(second, config)

    assert second.watermark.until == first.next_watermark.until
    assert hours(datasets.new.path) == [float(hour) for hour in range(40, 70)]
    assert datasets.replay is not None
    assert set(hours(datasets.replay.path)) <= set(map(float, range(40)))
    assert sorted(hours(datasets.test.path) + hours(datasets.train.path)) == hours(datasets.new.path)


def test_a_file_of_old_times_only_is_nothing_new(tmp_path: Path):
    config = config_for(tmp_path, watermark_column="time")
    rows_at(tmp_path / "in" / "a.parquet", 10)
    see(cycle_in(config), config)

    rows_at(tmp_path / "in" / "late.parquet", 0, count=20)

    assert find_new_data(config) is None


def test_older_rows_are_mixed_in_by_their_share_and_the_same_ones_each_time(tmp_path: Path):
    rows_at(tmp_path / "in" / "a.parquet", 0, count=400)
    see(cycle_in(config_for(tmp_path)), config_for(tmp_path))
    rows_at(tmp_path / "in" / "b.parquet", 400, count=100)

    def replayed(share: float) -> list[float]:
        config = config_for(tmp_path, replay=share)
        datasets = prepare_data(cycle_in(config), config)
        assert datasets.train.rows == 80
        assert set(hours(datasets.test.path) + hours(datasets.train.path)) == set(map(float, range(400, 500)))
        files = sorted(path.name for path in Path(datasets.config.data.source).iterdir())
        assert files == (["new.parquet", "older.parquet"] if share else ["new.parquet"])
        return hours(datasets.replay.path) if datasets.replay else []

    assert replayed(0.0) == []
    half = replayed(0.5)
    assert len(half) == len(set(half)) == 40
    assert set(half) <= set(map(float, range(400)))
    assert replayed(0.5) == half
    assert len(replayed(100.0)) == 400


def test_times_with_a_zone_are_compared_as_instants(tmp_path: Path):
    times = pa.array(
        [datetime(2024, 1, 1, 12, tzinfo=UTC), datetime(2024, 1, 1, 14, tzinfo=UTC)], pa.timestamp("ms", "Asia/Tokyo")
    )
    pq.write_table(pa.table({"time": times, "x": [1, 2]}), tmp_path / "a.parquet")
    files = [SourceFile(url=str(tmp_path / "a.parquet"))]

    assert survey(files, "time", datetime(2025, 1, 1)).latest == "2024-01-01T14:00:00"
    watermark = Watermark(until="2024-01-01T12:00:00")
    assert [part.column("x").to_pylist() for part in read_by_watermark(files, ["x"], "time", watermark, new=True)] == [
        [2]
    ]
    assert [part.column("x").to_pylist() for part in read_by_watermark(files, ["x"], "time", watermark, new=False)] == [
        [1]
    ]
    assert [len(part) for part in read_by_watermark(files, ["x"], "time", NOTHING_SEEN, new=True)] == [2]


NOW = START + timedelta(hours=1000)


def with_future_row(path: Path, first: int, ahead: timedelta, count: int = 40) -> None:
    """Write rows as `rows_at` does, the last one with a time that lies ahead of the clock."""
    rows_at(path, first, count)
    table = pq.read_table(path)
    times = [*table["time"].to_pylist()[:-1], NOW + ahead]
    pq.write_table(table.set_column(0, "time", pa.array(times, pa.timestamp("us"))), path)


def at(time: datetime) -> Clock:
    return lambda: time.replace(tzinfo=UTC)


def test_a_row_from_the_future_is_named_and_later_months_still_count(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    config = config_for(tmp_path, watermark_column="time")
    with_future_row(tmp_path / "in" / "a.parquet", 0, timedelta(days=36500))

    first = find_new_data(config, at(NOW))

    assert first is not None
    assert first.next_watermark.until == (START + timedelta(hours=38)).isoformat()
    greatest = (NOW + timedelta(days=36500)).isoformat()
    assert f"a.parquet: column time: 1 row, the latest {greatest}, lie in the future" in caplog.text
    assert hours(prepare_data(first, config).new.path) == [float(hour) for hour in range(39)]
    see(first, config)
    rows_at(tmp_path / "in" / "b.parquet", 40)
    second = find_new_data(config, at(NOW))
    assert second is not None
    datasets = prepare_data(second, config)
    assert hours(datasets.new.path) == [float(hour) for hour in range(40, 80)]
    assert datasets.replay is not None
    assert max(hours(datasets.replay.path)) < 39


@pytest.mark.parametrize(("ahead", "taken"), [(timedelta(hours=23), True), (timedelta(hours=25), False)])
def test_clocks_may_differ_by_a_day(tmp_path: Path, ahead: timedelta, *, taken: bool):
    with_future_row(tmp_path / "in" / "a.parquet", 0, ahead)

    cycle = find_new_data(config_for(tmp_path, watermark_column="time"), at(NOW))

    assert cycle is not None
    assert cycle.next_watermark.until is not None
    assert (datetime.fromisoformat(cycle.next_watermark.until) == NOW + ahead) is taken


def test_rows_that_all_lie_ahead_are_nothing_new(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    rows_at(tmp_path / "in" / "a.parquet", 2000)

    assert find_new_data(config_for(tmp_path, watermark_column="time"), at(NOW)) is None

    assert "40 rows, the latest" in caplog.text


def test_a_watermark_that_a_mistaken_date_set_does_not_hold_up_later_months(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    config = config_for(tmp_path, watermark_column="time")
    rows_at(tmp_path / "in" / "a.parquet", 0)
    first = cycle_in(config)
    see(replace(first, next_watermark=replace(first.next_watermark, until="2124-01-01T00:00:00")), config)
    rows_at(tmp_path / "in" / "b.parquet", 40)

    second = find_new_data(config, at(NOW))

    assert second is not None
    assert "the watermark 2124-01-01T00:00:00 lies in the future" in caplog.text
    assert second.next_watermark.until == (START + timedelta(hours=79)).isoformat()
    assert hours(prepare_data(second, config).new.path) == [float(hour) for hour in range(40, 80)]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([START, None], "column time, row 1: found no time, expected one in every row"),
        (["monday", "tuesday"], "column time, row 0: found type string, expected timestamps or dates"),
    ],
)
def test_a_row_without_a_time_is_refused_and_noted_as_blocked(tmp_path: Path, times: list[object], message: str):
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"time": times, "label": [0, 1]}), tmp_path / "in" / "a.parquet")
    config = config_for(tmp_path, watermark_column="time")

    with pytest.raises(DataError, match=message):
        find_new_data(config)

    assert [event["event"] for event in registry_of(config).history()] == ["blocked"]
