"""Folders as other programs leave them: every row that is meant is read, and no other."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.stages import HALVES, loaded, prepared, write
from unbroken.config import SplitConfig
from unbroken.data.parquet import read_slices
from unbroken.errors import DataError

DAYS = [f"2020-01-{day:02d}" for day in range(1, 11)]
MARKS = {
    "Delta Lake": ("_delta_log/00000.json", "_delta_log/"),
    "Apache Hudi": (".hoodie/hoodie.properties", ".hoodie/"),
    "Apache Iceberg": ("metadata/v1.metadata.json", "metadata/snap-1.avro", "metadata/version-hint.text"),
}


def part(first: int, last: int) -> dict[str, list[Any]]:
    return {"x": [float(row) for row in range(first, last)], "label": HALVES[first:last]}


def read(source: str | Path, folder: Path) -> list[float]:
    files = loaded(source, folder, label="label").files
    return [value for rows in read_slices(files, ["x"]) for value in rows.column("x").to_pylist()]


def linked(folder: Path) -> Path:
    """Return a folder of which one partition is a link to another folder."""
    write(folder / "elsewhere/a.parquet", part(0, 50))
    write(folder / "in/p=2/b.parquet", part(50, 100))
    (folder / "in/p=1").symlink_to(folder / "elsewhere")
    return folder / "in"


@pytest.mark.parametrize("pattern", ["", "/*", "/*/*.parquet", "/**", "/**/*.parquet", "/p=*/*"])
def test_a_partition_that_is_a_link_is_read(pattern: str, tmp_path: Path):
    assert read(f"{linked(tmp_path)}{pattern}", tmp_path) == part(0, 100)["x"]


def test_two_partitions_of_one_folder_are_two(tmp_path: Path):
    write(tmp_path / "in/p=1/a.parquet", part(0, 100))
    (tmp_path / "in/p=2").symlink_to(tmp_path / "in/p=1")

    assert read(tmp_path / "in", tmp_path) == part(0, 100)["x"] * 2


@pytest.mark.parametrize("name", ["all", "p=1"])
@pytest.mark.parametrize("pattern", ["", "/**/*.parquet"])
def test_a_link_to_the_folder_itself_ends(pattern: str, name: str, tmp_path: Path):
    write(tmp_path / "in/a.parquet", part(0, 100))
    (tmp_path / "in" / name).symlink_to(tmp_path / "in")

    assert read(f"{tmp_path}/in{pattern}", tmp_path) == part(0, 100)["x"]


def test_two_partitions_that_link_to_each_other_end(tmp_path: Path):
    for ours, other in (("1", "2"), ("2", "1")):
        write(tmp_path / f"in/p={ours}/a.parquet", part(0, 50))
        (tmp_path / f"in/p={ours}/q={other}").symlink_to(tmp_path / f"in/p={other}")

    with pytest.raises(DataError, match=r"partitioned by \('p',\) and by \('p', 'q'\)"):
        read(tmp_path / "in", tmp_path)


def test_a_double_star_beside_letters_is_refused(tmp_path: Path):
    write(tmp_path / "in/a.parquet", part(0, 100))

    with pytest.raises(DataError, match=r"found \*\* beside other letters"):
        read(f"{tmp_path}/in/**.parquet", tmp_path)


@pytest.mark.parametrize(
    "source", ["", "/*.parquet", "/p=1", "/p=*", "/p=1/*.parquet", "/p=1/q=2", "/a.parquet", "/p=1/q=2/a.parquet"]
)
@pytest.mark.parametrize("mark", [mark for marks in MARKS.values() for mark in marks])
def test_a_table_of_another_format_is_refused_by_every_way_in(mark: str, source: str, tmp_path: Path):
    folder = tmp_path / "table" / ("data" if mark.startswith("metadata") else "")
    write(folder / "a.parquet", part(0, 100))
    write(folder / "p=1/q=2/a.parquet", part(0, 100))
    path = tmp_path / "table" / mark
    if mark.endswith("/"):
        path.mkdir()
    else:
        path.parent.mkdir()
        path.write_text("{}")

    with pytest.raises(DataError, match=r"found a table of (Delta Lake|Apache Hudi|Apache Iceberg), expected plain"):
        read(f"{folder}{source}", tmp_path)


def test_a_folder_called_metadata_is_no_table(tmp_path: Path):
    write(tmp_path / "in/data/a.parquet", part(0, 100))
    (tmp_path / "in/metadata").mkdir()
    (tmp_path / "in/metadata/notes.json").write_text("{}")

    assert read(tmp_path / "in", tmp_path) == part(0, 100)["x"]


@pytest.mark.parametrize("name", ["a.parq", "a.pq", "a.PARQUET", "a.Parq"])
def test_every_ending_of_parquet_is_read_alone_and_in_a_folder(name: str, tmp_path: Path):
    path = write(tmp_path / "in" / name, part(0, 100))

    assert read(path, tmp_path) == read(tmp_path / "in", tmp_path) == part(0, 100)["x"]


@pytest.mark.parametrize("source", ["", "/*", "/**", "/*.parquet"])
def test_hidden_files_are_passed_over_by_every_way_in(source: str, tmp_path: Path):
    write(tmp_path / "in/a.parquet", part(0, 100))
    for name in ("_SUCCESS", ".a.parquet", "_b.parquet", ".checkpoints/z.parquet", "_tmp/z.parquet"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"no rows")

    assert read(f"{tmp_path}/in{source}", tmp_path) == part(0, 100)["x"]


@pytest.mark.parametrize("content", ["x,label\n", "x,label", "x,label\r\n", '"x","label"'])
@pytest.mark.parametrize("name", ["a.csv", "z.csv"])
def test_a_delivery_of_a_header_alone_is_one_of_no_rows(name: str, content: str, tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_text(content)
    (tmp_path / "in/m.csv").write_text("x,label\n" + "".join(f"{x},{label}\n" for x, label in enumerate(HALVES)))

    assert read(tmp_path / "in", tmp_path) == part(0, 100)["x"]


def pipe(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("name", ["b.csv", "b.csv.gz", "b.parquet"])
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(("make", "word"), [(pipe, "a pipe"), (unix_socket, "a socket"), (device, "a device")])
def test_what_never_ends_is_refused_at_once(
    make: Callable[[Path], None], word: str, inside: bool, name: str, tmp_path: Path
):
    write(tmp_path / "in/a.parquet", part(0, 100))
    make(tmp_path / "in" / name)

    with pytest.raises(DataError, match=f"in/{name}: found {word}, expected a file"):
        read(tmp_path / "in" if inside else tmp_path / "in" / name, tmp_path)


ORDERED = {
    "days": (DAYS, "date"),
    "months": ([f"2020-{month:02d}" for month in range(1, 11)], "category"),
    "months by number": ([f"{month:02d}" for month in range(1, 11)], "category"),
    "hours": ([f"2020-01-01T{hour:02d}" for hour in range(10)], "category"),
    "times": ([f"2020-01-01 {hour:02d}%3A00%3A00" for hour in range(10)], "category"),
    "days without a mark": ([f"202001{day:02d}" for day in range(1, 11)], "number"),
}


@pytest.mark.parametrize("name", ORDERED)
def test_rows_split_by_the_time_in_their_paths(name: str, tmp_path: Path):
    values, kind = ORDERED[name]
    for number, value in enumerate(values):
        write(tmp_path / f"in/day={value}/a.parquet", part(number * 10, number * 10 + 10))

    result = prepared(tmp_path / "in", tmp_path, split=SplitConfig(kind="time", column="day"))

    assert result.manifest.schema.features[0].kind == kind
    assert result.encoder.numbers[-1].high == 79
    assert result.test["x"].to_pylist() == [1.0] * 20


@pytest.mark.parametrize(
    ("value", "column", "missing"), [("2020-01-02", "p__missing", 1), ("7", "p__missing", 1), ("A", "p", 1)]
)
def test_a_partition_without_a_value_is_missing_whatever_the_others_are(
    value: str, column: str, missing: int, tmp_path: Path
):
    for name in (value, "__HIVE_DEFAULT_PARTITION__"):
        write(tmp_path / f"in/p={name}/a.parquet", part(0, 100))

    codes = prepared(tmp_path / "in", tmp_path).rows[column].to_pylist()

    assert codes[100:] == [missing] * 100
    assert missing not in codes[:100]


def test_a_column_that_is_in_the_path_and_in_the_file_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    for value in (1, 2):
        write(tmp_path / f"in/x={value}/a.parquet", part(0, 100))

    values = read(tmp_path / "in", tmp_path)

    assert set(values) == {1, 2}
    assert "x=1/a.parquet: x is in the path and in the file: that of the path is taken" in caplog.text
