"""What scikit-learn gives, arrays and frames, as an Arrow table and as the file that a run reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from unbroken.serving.tables import as_table
from unbroken.storage import atomic
from unbroken.storage.temporary import sweep

FRAME_MARKS = ("columns", "__dataframe__", "__arrow_c_stream__")
DIGITS = 16


def is_frame(rows: Any) -> bool:
    """Tell whether rows have columns of types of their own, as those of pandas, polars and Arrow do."""
    return any(hasattr(rows, mark) for mark in FRAME_MARKS)


def column_names(names: Sequence[str] | None, count: int) -> list[str]:
    """Return the names of a frame's columns, or `x0`, `x1` ... where there are none or not each is another's."""
    if names is not None and len(set(names)) == count:
        return list(names)
    return [f"x{index}" for index in range(count)]


def to_table(rows: Any, names: Sequence[str]) -> pa.Table:
    """Return checked rows, an array of two dimensions or a frame, as a table whose columns have these names."""
    if isinstance(rows, np.ndarray):
        return pa.table([pa.array(rows[:, index]) for index in range(rows.shape[1])], names=list(names))
    table = pa.Table.from_pandas(rows, preserve_index=False) if isinstance(rows, pd.DataFrame) else as_table(rows, [])
    return table.rename_columns(list(names)).replace_schema_metadata(None)


def with_values(table: pa.Table) -> list[str]:
    """Return the columns that have a value in any row."""
    return [
        name
        for name, column in zip(table.column_names, table.columns, strict=True)
        if not pc.all(pc.is_null(column, nan_is_null=True)).as_py()
    ]


def label_name(names: Sequence[str]) -> str:
    """Return a name for the label that no feature has."""
    name = "label"
    while name in names:
        name += "_"
    return name


def write_rows(folder: Path, table: pa.Table) -> Path:
    """Write rows as a Parquet file that is named by its content, durably, and return its path."""
    atomic.make_folder(folder)
    sweep(folder)

    def path() -> Path:
        return folder / f"rows-{file.digest[:DIGITS]}.parquet"

    with atomic.replacing(folder / "rows.parquet", final_path=path) as file:
        pq.write_table(table, file, compression="lz4", write_page_checksum=True)
    return path()
