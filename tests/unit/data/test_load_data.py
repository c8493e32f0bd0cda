"""Stage 1: the manifest says what the data is, and nothing of Parquet is copied."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.stages import HALVES, hundred, loaded, opened, prepared, write
from unbroken.data.dataset import Dataset, Manifest
from unbroken.data.parquet import read_slices
from unbroken.errors import DataError
from unbroken.stages.load_data import load_data, read_manifest
from unbroken.storage import atomic
from unbroken.storage.artifact import from_json, verify

ROWS = [float(row) for row in range(100)]
FLIGHTS = Path(__file__).parents[3] / "data/flights"


def test_a_parquet_source_is_not_copied(tmp_path: Path):
    config, run = opened(write(tmp_path / "a.parquet", hundred(ROWS)), tmp_path)

    dataset = load_data(config.data, run)

    assert [path.name for path in run.data.iterdir()] == ["dataset.json"]
    assert dataset == Dataset(
        path=str(run.data / "dataset.json"), digest=atomic.digest(run.data / "dataset.json"), rows=100, columns=2
    )
    assert str(dataset) == "100 rows x 2 features"


def test_a_csv_source_is_converted_once_and_known_by_its_own_name(tmp_path: Path):
    (tmp_path / "a.csv").write_text("x,label\n" + "1,0\n2,1\n" * 10)
    config, run = opened(tmp_path / "a.csv", tmp_path)

    manifest = read_manifest(load_data(config.data, run))

    assert [path.name for path in sorted(run.data.iterdir())] == ["dataset.json", "source-00000.parquet"]
    assert manifest.files[0].name == f"file://{tmp_path}/a.csv"
    assert manifest.fingerprint == run.fingerprint


def test_loading_again_gives_the_same_bytes(tmp_path: Path):
    (tmp_path / "a.csv").write_text("x,label\n" + "1,0\n2,1\n" * 10)
    config, run = opened(tmp_path / "a.csv", tmp_path)

    once, again = (load_data(config.data, run) for _ in range(2))

    assert once == again


def test_a_manifest_that_is_gone_or_changed_is_noticed(tmp_path: Path):
    config, run = opened(write(tmp_path / "a.parquet", hundred(ROWS)), tmp_path)
    dataset = load_data(config.data, run)
    verify(dataset)

    Path(dataset.path).write_text("{}")
    with pytest.raises(DataError, match=r"dataset\.json: changed since it was made: found digest 44136f"):
        verify(dataset)
    with pytest.raises(DataError, match=r"dataset\.json: not a whole Manifest: fingerprint: Field required"):
        from_json(Manifest, b"{}", "dataset.json")
    Path(dataset.path).unlink()
    with pytest.raises(DataError, match=r"dataset\.json: the file is gone"):
        verify(dataset)


def test_the_built_in_sample_is_1000_rows_of_10_features(tmp_path: Path):
    found = prepared("sample", tmp_path)

    assert (found.manifest.rows, len(found.manifest.schema.features)) == (1000, 10)
    assert found.manifest.schema.task == "binary"
    assert str(found.splits) == "800 train / 200 test"
    assert 0.4 < np.mean(found.rows["label"].to_numpy()) < 0.6


def test_the_flights_are_read_whole(tmp_path: Path):
    manifest = loaded(FLIGHTS, tmp_path)

    assert manifest.rows == 336_776
    assert len(manifest.files) == 12
    assert [Path(file.url).name for file in manifest.files] == sorted(Path(file.url).name for file in manifest.files)
    assert manifest.schema.task == "binary"


def test_rows_are_never_held_all_at_once(tmp_path: Path):
    """A column of 32 MB comes in batches of half a megabyte."""
    rows = 4_000_000
    path = write(tmp_path / "big.parquet", {"x": np.arange(rows), "label": np.arange(rows) % 2})
    manifest = loaded(path, tmp_path, keep=("x",))

    largest = max(part.rows.nbytes for part in read_slices(manifest.files, ["x"]))

    assert largest < 600_000


def test_an_unusual_parquet_file_is_read_as_it_is(tmp_path: Path):
    """No Arrow schema inside, old timestamps, many row groups, another compression."""
    table = pa.table({"when": pa.array(range(100), pa.timestamp("ns")), "x": ROWS, "label": HALVES})
    path = tmp_path / "a.parquet"
    pq.write_table(
        table, path, store_schema=False, use_deprecated_int96_timestamps=True, row_group_size=7, compression="gzip"
    )

    found = prepared(path, tmp_path, keep=("when",))

    assert [column.kind for column in found.manifest.schema.features] == ["timestamp", "number"]
    assert found.rows["x"].to_pylist() == pytest.approx([row / 99 for row in ROWS], abs=0.05)
