"""Made-up rows of any number: the same for the same seed."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

FEATURES = 10
PIECE = 1 << 20


def write_rows(path: Path, rows: int, seed: int = 0) -> Path:
    """Write normal float32 features and a binary label that depends on them, with pyarrow's own settings, unless it is there."""
    if path.is_file():
        return path
    draw = np.random.Generator(np.random.PCG64(seed))
    weights = draw.standard_normal(FEATURES, dtype=np.float32)
    schema = pa.schema([*((f"x{place}", pa.float32()) for place in range(FEATURES)), ("label", pa.int8())])
    unfinished = path.with_suffix(".tmp")
    with pq.ParquetWriter(unfinished, schema) as writer:
        for start in range(0, rows, PIECE):
            numbers = draw.standard_normal((FEATURES, min(PIECE, rows - start)), dtype=np.float32)
            noise = draw.standard_normal(numbers.shape[1], dtype=np.float32)
            label = (weights @ numbers + noise > 0).astype(np.int8)
            writer.write_table(pa.table([*numbers, label], schema=schema))
    unfinished.rename(path)
    return path


def write_columns(path: Path, columns: int, rows: int = 500) -> Path:
    """Write a wide table of normal numbers and a binary label, as its name says: Parquet or CSV."""
    draw = np.random.Generator(np.random.PCG64(0))
    numbers = {f"x{place}": draw.standard_normal(rows, dtype=np.float32) for place in range(columns)}
    table = pa.table(numbers | {"label": [row % 2 for row in range(rows)]})
    (pq.write_table if path.suffix == ".parquet" else pyarrow.csv.write_csv)(table, path)
    return path


def copied(source: Path, target: Path) -> None:
    """Read all and write it again with pyarrow's own settings, in bounded memory."""
    with pq.ParquetFile(source) as file, pq.ParquetWriter(target, file.schema_arrow) as writer:
        for group in range(file.num_row_groups):
            writer.write_table(file.read_row_group(group))
    on_disk(target)


def on_disk(path: Path) -> None:
    """Wait until a file is on the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
