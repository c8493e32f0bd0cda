"""Every kind of source is found, in a fixed order, and known by its content."""

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tests.unit.stages import HALVES, hundred, loaded, opened, prepared, write
from unbroken.config import DataConfig
from unbroken.data.parquet import read_slices
from unbroken.data.sources import digest_files, find_files, fingerprint_files
from unbroken.errors import ConfigError, DataError
from unbroken.stages.load_data import load_data

COLUMNS: dict[str, list[Any]] = {"x": [float(row) for row in range(100)], "label": HALVES}
TEXT = "x,label\n" + "".join(f"{row}.0,{label}\n" for row, label in enumerate(HALVES))


def part(first: int, last: int) -> dict[str, list[Any]]:
    return {name: values[first:last] for name, values in COLUMNS.items()}


def values(source: str | Path, folder: Path, name: str = "x") -> list[object]:
    manifest = loaded(source, folder, label="label")
    return [value for rows in read_slices(manifest.files, [name]) for value in rows.column(name).to_pylist()]


def fingerprint_of(source: str | Path) -> str:
    files = find_files(str(source))
    return fingerprint_files(files, digest_files(files))


def test_one_parquet_file(tmp_path: Path):
    assert values(write(tmp_path / "all.parquet", COLUMNS), tmp_path) == COLUMNS["x"]


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "all.parquet", COLUMNS)
    monkeypatch.chdir(tmp_path)

    assert values("all.parquet", tmp_path) == COLUMNS["x"]


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path: Path):
    write(tmp_path / "data/b.parquet", part(50, 100))
    write(tmp_path / "data/a.parquet", part(0, 50))

    assert values(tmp_path / "data", tmp_path) == COLUMNS["x"]
    assert values(f"{tmp_path}/data/", tmp_path) == COLUMNS["x"]


def test_what_hive_and_spark_write_beside_data_is_passed_over(tmp_path: Path):
    write(tmp_path / "data/part.parquet", COLUMNS)
    for name in ("_SUCCESS", "_metadata.parquet", ".part.parquet.crc", "_temporary/0/part.parquet", "notes.txt"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(b"nothing to read")

    assert values(tmp_path / "data", tmp_path) == COLUMNS["x"]


def test_a_glob_of_files(tmp_path: Path):
    write(tmp_path / "2013-01.parquet", part(0, 50))
    write(tmp_path / "2013-02.parquet", part(50, 100))
    write(tmp_path / "2014-01.parquet", part(0, 100))

    assert values(tmp_path / "2013-*.parquet", tmp_path) == COLUMNS["x"]
    assert values(tmp_path / "2013-0[2].parquet", tmp_path) == COLUMNS["x"][50:]


def test_a_glob_of_folders(tmp_path: Path):
    write(tmp_path / "data/year=2013/part.parquet", part(0, 50))
    write(tmp_path / "data/year=2014/part.parquet", part(50, 100))

    assert values(tmp_path / "data/year=20*", tmp_path) == COLUMNS["x"]
    assert values(tmp_path / "data/year=20*", tmp_path, "year") == [2013] * 50 + [2014] * 50


def test_a_name_that_looks_like_a_glob_is_that_file(tmp_path: Path):
    write(tmp_path / "part-[1].parquet", COLUMNS)
    write(tmp_path / "part-1.parquet", part(0, 10))

    assert values(tmp_path / "part-[1].parquet", tmp_path) == COLUMNS["x"]


def test_a_name_with_spaces_and_marks(tmp_path: Path):
    assert values(write(tmp_path / "a b%20#ü.parquet", COLUMNS), tmp_path) == COLUMNS["x"]


def test_hive_partitions_become_columns_before_those_of_the_files(tmp_path: Path):
    for month in (1, 2, 10):
        write(tmp_path / f"data/city=New%20York/month={month}/part.parquet", COLUMNS)

    manifest = loaded(tmp_path / "data", tmp_path, keep=("city",))

    assert [column.name for column in manifest.schema.features] == ["city", "month", "x"]
    assert [column.kind for column in manifest.schema.features] == ["category", "number", "number"]
    assert [file.partition["month"] for file in manifest.files] == [1, 10, 2]  # sorted by path
    assert {file.partition["city"] for file in manifest.files} == {"New York"}


def test_a_partition_with_one_text_value_is_text_everywhere(tmp_path: Path):
    for grade in ("1", "2", "x", "123456789012345678901"):
        write(tmp_path / f"data/grade={grade}/part.parquet", COLUMNS)

    manifest = loaded(tmp_path / "data", tmp_path)

    assert manifest.schema.features[0].kind == "category"
    assert {file.partition["grade"] for file in manifest.files} == {"1", "2", "x", "123456789012345678901"}


def test_the_missing_partition_of_hive_is_null(tmp_path: Path):
    for month in ("1", "__HIVE_DEFAULT_PARTITION__"):
        write(tmp_path / f"data/month={month}/part.parquet", COLUMNS)

    assert values(tmp_path / "data", tmp_path, "month") == [1] * 100 + [None] * 100
    assert prepared(tmp_path / "data", tmp_path).encoder.numbers[0].indicator


def test_a_partition_column_can_be_the_label(tmp_path: Path):
    for kind in ("spam", "ham"):
        write(tmp_path / f"data/kind={kind}/part.parquet", {"x": COLUMNS["x"]})

    schema = loaded(tmp_path / "data", tmp_path, label="kind").schema

    assert schema.classes == ("ham", "spam")


def test_folders_above_the_source_are_no_partitions(tmp_path: Path):
    write(tmp_path / "copy=3/data/part.parquet", COLUMNS)

    for source in ("copy=3/data", "copy=3/data/part.parquet", "copy=3/data/*.parquet"):
        assert not find_files(f"{tmp_path}/{source}")[0].partition


def test_csv_and_compressed_csv(tmp_path: Path):
    (tmp_path / "plain.csv").write_text(TEXT)
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(TEXT.encode()))

    assert values(tmp_path / "plain.csv", tmp_path) == COLUMNS["x"]
    assert values(tmp_path / "packed.csv.gz", tmp_path) == COLUMNS["x"]


def test_csv_with_a_byte_order_mark_quotes_and_line_breaks_inside_fields(tmp_path: Path):
    rows = "".join(f'"line one\nline two, {row % 3}",{row},{row % 2}\r\n' for row in range(20))
    (tmp_path / "quoted.csv").write_bytes(b"\xef\xbb\xbftext,x,label\r\n" + rows.encode())

    assert values(tmp_path / "quoted.csv", tmp_path, "text")[:2] == ["line one\nline two, 0", "line one\nline two, 1"]


def test_a_csv_part_with_an_empty_column_fits_the_others(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/1.csv").write_text("x,when,label\n" + ",,0\n,,1\n" * 10)
    (tmp_path / "data/2.csv").write_text("x,when,label\n" + "1.5,2020-01-01,0\n2,2021-02-03,1\n" * 10)

    manifest = loaded(tmp_path / "data", tmp_path)

    assert [column.kind for column in manifest.schema.features] == ["number", "date"]
    assert prepared(tmp_path / "data", tmp_path).rows.num_rows == 40


def test_a_url_of_the_local_disk(tmp_path: Path):
    path = write(tmp_path / "all.parquet", COLUMNS)

    assert values(f"file://{path}", tmp_path) == COLUMNS["x"]
    assert fingerprint_of(f"file://{path}") == fingerprint_of(path)


def test_a_url_of_another_file_system(tmp_path: Path):
    write(tmp_path / "all.parquet", COLUMNS)
    memory = fsspec.filesystem("memory")
    memory.pipe("/store/year=2013/all.parquet", (tmp_path / "all.parquet").read_bytes())
    memory.pipe("/text/all.csv", TEXT.encode())

    assert values("memory://store", tmp_path) == COLUMNS["x"]
    assert values("memory://store/year=*/*.parquet", tmp_path, "year") == [2013] * 100
    assert values("memory://text/all.csv", tmp_path) == COLUMNS["x"]


def test_the_fingerprint_depends_on_content_alone(tmp_path: Path):
    before = write(tmp_path / "one/a.parquet", COLUMNS)
    known = fingerprint_of(tmp_path / "one")
    shutil.move(tmp_path / "one", tmp_path / "two")
    os.utime(tmp_path / "two/a.parquet", (0, 0))
    (tmp_path / "two/a.parquet").rename(tmp_path / "two/renamed.parquet")

    assert fingerprint_of(tmp_path / "two") == known
    write(Path(before), part(0, 99))
    assert fingerprint_of(before) != known


def test_the_fingerprint_depends_on_partition_values(tmp_path: Path):
    write(tmp_path / "one/year=2013/a.parquet", COLUMNS)
    write(tmp_path / "two/year=2014/a.parquet", COLUMNS)
    write(tmp_path / "three/year=2013/b.parquet", COLUMNS)

    assert fingerprint_of(tmp_path / "one") != fingerprint_of(tmp_path / "two")
    assert fingerprint_of(tmp_path / "one") == fingerprint_of(tmp_path / "three")


def test_a_moved_folder_is_the_same_run_and_other_rows_are_another(tmp_path: Path):
    write(tmp_path / "here/a.parquet", COLUMNS)
    _, before = opened(tmp_path / "here", tmp_path)
    shutil.move(tmp_path / "here", tmp_path / "there")
    _, moved = opened(tmp_path / "there", tmp_path)
    write(tmp_path / "there/a.parquet", part(0, 98))
    _, changed = opened(tmp_path / "there", tmp_path)

    assert moved == before
    assert changed.key != before.key


def test_a_source_that_changes_while_a_run_starts_is_noticed(tmp_path: Path):
    path = Path(write(tmp_path / "a.parquet", COLUMNS))
    config, run = opened(path, tmp_path)
    write(path, part(0, 98))

    with pytest.raises(DataError, match=r"a\.parquet: changed while this run was starting"):
        load_data(config.data, run)


def test_the_order_of_the_rows_is_that_of_the_files(tmp_path: Path):
    write(tmp_path / "all.parquet", hundred([float(row) * 2 for row in range(100)]), row_group_size=7)

    rows = prepared(tmp_path / "all.parquet", tmp_path).rows

    assert rows["row"].to_pylist() == sorted(rows["row"].to_pylist())
    assert rows["label"].to_pylist() == HALVES


@pytest.mark.parametrize(
    "source",
    [
        "s3://key:secret@bucket/data",
        "ftp://user@host/data.csv",
        "simplecache::s3://key:secret@bucket/data.parquet",
        "https://host/data.parquet?sig=secret",
    ],
)
def test_a_source_with_credentials_is_refused_and_not_repeated(source: str):
    with pytest.raises(ConfigError, match=r"data\.source: found .* expected") as refused:
        DataConfig(source=source)

    assert "secret" not in str(refused.value)
