"""The outputs of a model for raw rows, through its encoder."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import nn

from unbroken.batches.rows import Rows, to_matrix
from unbroken.data.dictionary import decode_batch
from unbroken.data.kinds import Subject
from unbroken.features.encoder import Encoder
from unbroken.models.forward import outputs_of

Compute = Callable[..., Any]
"""Calls a function with some arguments, where and as it is to be computed."""


def compute_here(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in this thread."""
    return function(*arguments)


def outputs_of_raw_rows(
    model: nn.Module, encoder: Encoder, rows: pa.RecordBatch, subject: Subject, compute: Compute = compute_here
) -> NDArray[Any]:
    """Return a model's outputs for raw rows.

    Args:
        model: The model.
        encoder: What was fitted in its training.
        rows: The raw rows.
        subject: Names a value of them in messages.
        compute: Calls what computes in torch.

    Returns:
        Binary: float32 [rows], the probability of the second class. Multiclass: float32 [rows, classes].
        Regression: float64 [rows] in the label's own unit.
    """
    features, label = encoder.features, encoder.label
    inputs = encoder.transform_inputs(decode_batch(rows), subject)
    count, names = rows.num_rows, features.category_names
    numbers = to_matrix(inputs, features.numbers, np.empty((count, len(features.numbers)), np.float32))
    codes = to_matrix(inputs, names, np.empty((count, len(names)), np.int64))
    device = next(model.parameters()).device
    batch = Rows(torch.from_numpy(numbers), torch.from_numpy(codes), torch.empty(count)).to(device)
    _, outputs = compute(outputs_of, model, batch, features.task)
    outputs = outputs.double() * label.deviation + label.mean if features.task == "regression" else outputs.float()
    return outputs.cpu().numpy()
