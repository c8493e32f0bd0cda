"""Exported models at work, as those who have the file alone run them; and a table with columns of every kind."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from unbroken.interchange.program import Sample, as_tensors
from unbroken.serving.prediction import Predictor

KINDS = ("number", "boolean", "text", "code", "day", "moment", "time", "duration")


def table_of_all_kinds(rows: int = 400, seed: int = 0) -> pa.Table:
    """Return columns of every kind, each with missing values, and three labels that depend on them."""
    draw = np.random.Generator(np.random.PCG64(seed))
    number, code = draw.standard_normal(rows) * 100, draw.integers(0, 4, rows)
    text = draw.choice(["red", "green", "", "blue"], rows)
    score = number / 50 + code + (text == "red")
    seconds = draw.integers(-(10**9), 2 * 10**9, rows)
    columns: dict[str, tuple[Any, pa.DataType]] = {
        "number": (number, pa.float64()),
        "boolean": (draw.random(rows) < 0.5, pa.bool_()),
        "text": (text, pa.string()),
        "code": (code, pa.int16()),
        "day": (seconds // 86_400, pa.int32()),
        "moment": (seconds * 10**6 + draw.integers(0, 10**6, rows), pa.int64()),
        "time": (draw.integers(0, 86_400, rows) * 10**6, pa.int64()),
        "duration": (draw.integers(0, 10**6, rows), pa.int64()),
    }
    types = {
        "day": pa.date32(),
        "moment": pa.timestamp("us", "UTC"),
        "time": pa.time64("us"),
        "duration": pa.duration("s"),
    }
    arrays = {
        name: pa.array(values, type, mask=draw.random(rows) < 0.1).cast(types.get(name, type))
        for name, (values, type) in columns.items()
    }
    labels = {"binary": score > 1, "multiclass": np.digitize(score, [0, 2]), "regression": 1000 * score}
    return pa.table({**arrays, **labels})


def write_table(path: Path, label: str, rows: int = 400) -> str:
    """Write a table with columns of every kind and one of the labels, called `label`."""
    table = table_of_all_kinds(rows)
    pq.write_table(table.select(KINDS).append_column("label", table[label]), path)
    return str(path)


def batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    return iter(table.combine_chunks().to_batches(1 << 16))


def onnx_distance(predictor: Predictor, content: bytes, table: pa.Table) -> float:
    """Return how far ONNX Runtime is from `predict` at most."""
    session = onnxruntime.InferenceSession(content)
    samples = (Sample.from_rows(predictor, rows, coded=False) for rows in batches(table))
    return max(_distance(np.asarray(session.run(None, sample.inputs)[0]), sample) for sample in samples)


def program_distance(predictor: Predictor, content: bytes, table: pa.Table) -> float:
    """Return how far a program of torch is from `predict` at most."""
    module = torch.export.load(io.BytesIO(content)).module()
    samples = (Sample.from_rows(predictor, rows, coded=True) for rows in batches(table))
    with torch.no_grad():
        return max(_distance(module(as_tensors(sample.inputs)).numpy(), sample) for sample in samples)


def _distance(outputs: NDArray[Any], sample: Sample) -> float:
    assert outputs.shape == sample.outputs.shape
    assert outputs.dtype == sample.outputs.dtype
    return sample.distance(outputs)
