"""Small files that hold very much, and very wide tables, end in a limit and a word."""

import gzip
import time
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.unit.stages import loaded, write
from unbroken.config import Config, CsvConfig, DataConfig
from unbroken.config.config import identity
from unbroken.csv import opening
from unbroken.errors import ConfigError, DataError

SECONDS = 20.0
WIDE = ",".join(f"x{number}" for number in range(100_000))


def unpacking(path: Path, megabytes: int, head: bytes = b"x,label\n", chunk: bytes = b"1,0\n2,1\n") -> Path:
    """Write a compressed file that unpacks to so many megabytes."""
    packer = zlib.compressobj(wbits=31)
    block = chunk * ((1 << 20) // len(chunk))
    with open(path, "wb") as file:
        file.write(packer.compress(head))
        for _ in range(megabytes):
            file.write(packer.compress(block))
        file.write(packer.flush())
    return path


@pytest.mark.parametrize("chunk", [b"1,0\n2,1\n", b"1", b"\0", b'"', b"\n", b","])
def test_a_small_file_that_unpacks_a_thousandfold_is_refused(
    chunk: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(opening, "FREE_BYTES", 1 << 24)
    path = unpacking(tmp_path / "a.csv.gz", 20, chunk=chunk)

    with pytest.raises(DataError, match=r"a\.csv\.gz: .*(data\.max_expansion|is it a CSV file)"):
        loaded(path, tmp_path)


def test_it_is_refused_soon(tmp_path: Path):
    path = unpacking(tmp_path / "a.csv.gz", 300)
    started = time.monotonic()

    with pytest.raises(DataError, match=r"unpacks to more than 256 MiB"):
        loaded(path, tmp_path)

    assert time.monotonic() - started < SECONDS


def test_the_limit_holds_also_where_the_encoding_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(opening, "FREE_BYTES", 1 << 20)
    path = unpacking(tmp_path / "a.csv.gz", 3)

    with pytest.raises(DataError, match=r"unpacks to more than 1 MiB.*Raise data\.max_expansion"):
        loaded(path, tmp_path, max_expansion=10, csv=CsvConfig(encoding="utf-8"))


def test_a_limit_that_is_raised_lets_a_file_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(opening, "FREE_BYTES", 1 << 20)
    line = b"1" * 1021 + b",0\n"
    path = unpacking(tmp_path / "a.csv.gz", 2, b"x,label\n2,1\n", line)

    with pytest.raises(DataError, match=r"data\.max_expansion"):
        loaded(path, tmp_path)
    assert loaded(path, tmp_path, max_expansion=2000, keep=("x",)).rows == 2 * 1024 + 1


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_csv_file_of_100_000_columns_is_refused_soon(name: str, tmp_path: Path):
    rows = f"{WIDE},label\n" + ("1," * 100_000 + "0\n") * 2
    (tmp_path / name).write_bytes(gzip.compress(rows.encode()) if name.endswith("gz") else rows.encode())
    started = time.monotonic()

    with pytest.raises(DataError, match=r"found 100,001 columns, expected at most 20,000\. Raise data\.max_columns"):
        loaded(tmp_path / name, tmp_path)

    assert time.monotonic() - started < SECONDS


def test_a_parquet_file_of_too_many_columns_is_refused(tmp_path: Path):
    table = pa.table({f"x{number}": pa.array([0.0, 1.0]) for number in range(30)} | {"label": [0, 1]})
    path = write(tmp_path / "a.parquet", table)

    with pytest.raises(DataError, match=r"a\.parquet: found 31 columns, expected at most 30\. Raise data\.max_columns"):
        loaded(path, tmp_path, max_columns=30)
    assert len(loaded(path, tmp_path, max_columns=31).schema.features) == 30


def test_a_header_longer_than_a_megabyte_is_read_whole(tmp_path: Path):
    names = [f"{'long' * 250}{number}" for number in range(1200)]
    (tmp_path / "a.csv").write_text(
        ",".join([*names, "label"]) + "\n" + ("1," * 1200 + "0\n" + "2," * 1200 + "1\n") * 3
    )

    assert len(loaded(tmp_path / "a.csv", tmp_path).schema.features) == 1200


@pytest.mark.parametrize("name", ["max_columns", "max_expansion"])
def test_a_limit_has_a_least_value_and_at_its_default_names_no_other_run(name: str):
    setting: dict[str, Any] = {name: 0}
    with pytest.raises(ConfigError, match=rf"data\.{name}: found 0, expected at least 1"):
        DataConfig(**setting)
    assert name not in identity(Config())["data"]
