"""A few rows with a model's outputs, by which other code is seen to give others.

The rows are made up from the fitted encoder: ranges, categories, missing and unseen values. No row of the data is kept.
"""

import base64
import math
from typing import Any

import numpy as np
import pyarrow as pa
from torch import nn

from unbroken.code.source import library_digest
from unbroken.data.kinds import INSTANT, KINDS
from unbroken.errors import DataError
from unbroken.features.encoder import CategoryCodes, Encoder, NumberScale
from unbroken.models.raw_rows import Compute, compute_here, outputs_of_raw_rows

SelfCheck = dict[str, Any]
MICROSECONDS, LARGEST = 1e6, 2.0**62


def make_self_check(model: nn.Module, encoder: Encoder) -> SelfCheck:
    """Return made-up rows, as an Arrow stream in base64, a model's outputs for them, and the digest of the library's source."""
    rows = made_up_rows(encoder)
    outputs = outputs_of_raw_rows(model, encoder, rows, _subject)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
    return {
        "rows": base64.b64encode(sink.getvalue()).decode(),
        "outputs": outputs.tolist(),
        "source": library_digest(),
    }


def difference(check: Any, model: nn.Module, encoder: Encoder, name: str, compute: Compute = compute_here) -> float:
    """Return how far a model's outputs are from those that were kept, relative to the larger; 0 if equal to the bit.

    Args:
        check: What `make_self_check` returned, as a file has it by now.
        model: The model as it is now.
        encoder: Its encoder.
        name: Of the file that holds the check, for messages.
        compute: Calls what computes in torch.

    Raises:
        DataError: The check is not whole, or its rows are refused.
    """
    try:
        rows = pa.ipc.open_stream(base64.b64decode(check["rows"])).read_next_batch()
        rows.validate(full=True)
        rows = rows.select([column.name for column in encoder.schema.features])
        expected = np.array(check["outputs"], np.float64)
    except (LookupError, TypeError, ValueError, OSError, StopIteration, pa.ArrowException) as error:
        raise DataError(f"{name}: self_check is not whole: {error}. Publish the checkpoint again") from error
    outputs = outputs_of_raw_rows(model, encoder, rows, _subject, compute).astype(np.float64)
    if outputs.shape != expected.shape:
        return math.inf
    if np.array_equal(outputs, expected, equal_nan=True):
        return 0.0
    larger = np.maximum(np.maximum(np.abs(outputs), np.abs(expected)), np.finfo(np.float64).tiny)
    distance = float(np.max(np.abs(outputs - expected) / larger))
    return distance if math.isfinite(distance) else math.inf


def made_up_rows(encoder: Encoder) -> pa.RecordBatch:
    """Return rows of the lowest and highest values and the first and last categories, missing, middle and unseen ones."""
    scales = {scale.name: scale for scale in (*encoder.numbers, *encoder.categories)}
    names = [column.name for column in encoder.schema.features]
    columns = [_column(scales[name], odd=index % 2 == 1) for index, name in enumerate(names)]
    return pa.RecordBatch.from_arrays(columns, names=names)


def _column(scale: NumberScale | CategoryCodes, *, odd: bool) -> pa.Array:
    if isinstance(scale, CategoryCodes):
        unseen = _unseen(scale.values)
        low, high = (scale.values[0], scale.values[-1]) if scale.values else (unseen, unseen)
        return pa.array(_mixed(low, high, unseen, odd=odd), pa.string())
    return _typed(_mixed(scale.low, scale.high, scale.fill, odd=odd), scale.kind)


def _mixed(low: Any, high: Any, middle: Any, *, odd: bool) -> list[Any]:
    return [low, high, None, middle, *((high, low) if odd else (low, high))]


def _typed(values: list[float | None], kind: str) -> pa.Array:
    """Return numbers, times in seconds, as values of a kind."""
    numbers = [None if value is None or not math.isfinite(value) else value for value in values]
    if kind == "number":
        return pa.array(numbers, pa.float64())
    if kind == "boolean":
        return pa.array([None if value is None else value > 0.5 for value in numbers])
    counts = [None if value is None else _count(value) for value in numbers]
    plain, integers = KINDS[kind].plain, pa.array(counts, pa.int64())
    return integers.cast(INSTANT).cast(plain, safe=False) if KINDS[kind].instant else integers.cast(plain)


def _count(seconds: float) -> int:
    return round(max(-LARGEST, min(LARGEST, seconds * MICROSECONDS)))


def _unseen(values: tuple[str, ...]) -> str:
    value = "unseen"
    while value in values:
        value += "_"
    return value


def _subject(name: str, row: int) -> str:
    return f"self_check: column {name}, row {row}"
