"""The built-in example: 1000 rows, 10 float features, a 0/1 label that depends on them."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from unbroken.data.parquet import Writer

ROWS, FEATURES, SEED = 1000, 10, 0


def table() -> pa.RecordBatch:
    """Return the sample, the same each time: the label is drawn with the probability of a logistic model."""
    draw = np.random.Generator(np.random.PCG64(SEED))
    features = draw.standard_normal((ROWS, FEATURES))
    weights = draw.standard_normal(FEATURES)
    label = draw.random(ROWS) < 1 / (1 + np.exp(-2 * features @ weights))
    columns = {f"feature_{number}": features[:, number] for number in range(FEATURES)}
    return pa.RecordBatch.from_pydict({**columns, "label": label.astype(np.int8)})


def fingerprint() -> str:
    """Return the SHA-256 of the sample's values."""
    parts = hashlib.sha256()
    for column in table().columns:
        parts.update(column.to_numpy().tobytes())
    return parts.hexdigest()


def write(path: Path) -> None:
    """Write the sample as a Parquet file."""
    rows = table()
    with Writer(path, rows.schema) as writer:
        writer.write(rows)
