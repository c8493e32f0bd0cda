"""Rows come as they were written, in bounded batches, and damage never passes."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.stages import write
from unbroken.data.parquet import BATCH_ROWS, Writer, read_dataset, read_slices
from unbroken.data.sources import SourceFile
from unbroken.errors import DataError

SCHEMA = pa.schema([("x", pa.float32()), ("label", pa.int64())])


def batch(*values: float) -> pa.RecordBatch:
    return pa.record_batch({"x": pa.array(values, pa.float32()), "label": range(len(values))}, schema=SCHEMA)


def test_what_is_written_is_read_back_in_order(tmp_path: Path):
    with Writer(tmp_path / "new/rows.parquet", SCHEMA) as writer:
        writer.write(batch(1, 2, 3))
        writer.write(batch())
        writer.write(batch(4))
    dataset = writer.dataset()

    assert (dataset.rows, dataset.columns) == (4, 1)
    assert [value for rows in read_dataset(dataset) for value in rows.column("x").to_pylist()] == [1, 2, 3, 4]


def test_a_file_without_rows_is_whole(tmp_path: Path):
    with Writer(tmp_path / "rows.parquet", SCHEMA) as writer:
        pass

    assert writer.dataset().rows == 0
    assert list(read_dataset(writer.dataset())) == []


def test_a_failed_write_leaves_nothing(tmp_path: Path):
    with pytest.raises(ValueError, match="schema"), Writer(tmp_path / "rows.parquet", SCHEMA) as writer:
        list(map(writer.write, [batch(1, 2, 3), pa.record_batch({"y": [1]})]))

    assert list(tmp_path.iterdir()) == []


def test_a_schema_that_parquet_cannot_hold_leaves_nothing(tmp_path: Path):
    unwritable = pa.schema([("x", pa.dense_union([pa.field("a", pa.int8())]))])

    with pytest.raises(pa.ArrowNotImplementedError), Writer(tmp_path / "rows.parquet", unwritable):
        pass

    assert list(tmp_path.iterdir()) == []


def test_the_same_rows_are_the_same_bytes(tmp_path: Path):
    for name in ("one", "two"):
        with Writer(tmp_path / name, SCHEMA) as writer:
            writer.write(batch(1, 2, 3))

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_batches_are_bounded_and_know_their_place(tmp_path: Path):
    rows = 2 * BATCH_ROWS + 10
    path = write(tmp_path / "rows.parquet", {"x": range(rows), "y": range(rows)}, row_group_size=rows)

    slices = list(read_slices([SourceFile(url=path)], ["y"]))

    assert [len(part) for part in slices] == [BATCH_ROWS, BATCH_ROWS, 10]
    assert [part.column("y")[0].as_py() for part in slices] == [part.start for part in slices]
    assert slices[2].subject("y", 3) == f"{path}: column y, row {2 * BATCH_ROWS + 3}"


def test_columns_come_in_the_order_asked_for_with_those_of_the_path(tmp_path: Path):
    path = write(tmp_path / "rows.parquet", {"a": [1], "a.b": [2], "b": pa.array(["x"]).dictionary_encode()})

    (rows,) = read_slices([SourceFile(url=path, partition={"p": "q", "n": None})], ["b", "p", "a.b", "n", "a"])

    assert rows.rows.to_pylist() == [{"b": "x", "p": "q", "a.b": 2, "n": None, "a": 1}]
    assert rows.rows.schema.field("b").type == pa.string()


@pytest.mark.parametrize("place", range(0, 800, 37))
def test_a_flipped_bit_in_the_pages_of_our_own_files_is_found(place: int, tmp_path: Path):
    path = tmp_path / "rows.parquet"
    with Writer(path, SCHEMA) as writer:
        writer.write(batch(*range(500)))
    content = bytearray(path.read_bytes())
    pages = pq.read_metadata(path).row_group(0).column(1)
    content[4 + place % (pages.data_page_offset + pages.total_compressed_size - 4)] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"rows\.parquet.* cannot be read"):
        list(read_slices([SourceFile(url=str(path))], SCHEMA.names))
