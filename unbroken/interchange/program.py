"""A published model with its preprocessing as one module of torch, and as a program that torch has traced."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from unbroken.errors import ExportError
from unbroken.evaluation.self_check import made_up_rows
from unbroken.features.encoder import LabelScale
from unbroken.interchange.columns import Arrays, as_arrays, raw_columns
from unbroken.interchange.preprocessing import Columns, Preprocessing
from unbroken.models.forward import predictions
from unbroken.serving.prediction import PROBABILITY, VALUE, Predictor

OUTPUTS = {"binary": PROBABILITY, "multiclass": "probabilities", "regression": VALUE}
CLOSE = 1e-5
"""How far the outputs of an exported model may be from those of `predict`, since other kernels round otherwise: of probabilities,
and of values in the standard deviation of the label, or in their distance from its mean where that is larger."""
TRACES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")
"""What torch notes of a step beside what it computes: places in source files, mostly."""


class WholeModel(nn.Module):
    """From raw columns, categories as codes, to probabilities or values in the label's own unit."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        encoder = predictor.encoder
        self.preprocessing, self.network = Preprocessing(encoder), predictor.model
        self.task, self.mean, self.deviation = encoder.schema.task, encoder.label.mean, encoder.label.deviation

    def forward(self, columns: Columns) -> Tensor:
        """Return for each row the probability of the second class, that of each class, or a value."""
        logits = self.network(*self.preprocessing(columns))
        outputs = predictions(logits.float() if logits.element_size() < 4 else logits, self.task)
        return outputs.double() * self.deviation + self.mean if self.task == "regression" else outputs.float()


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Rows made up from what was fitted, as inputs, and what `predict` gives for them."""

    inputs: Arrays
    outputs: NDArray[Any]
    label: LabelScale

    @classmethod
    def of(cls, predictor: Predictor, *, coded: bool) -> "Sample":
        """Make up rows for a model: lowest, highest, middle, missing and unseen values."""
        return cls.from_rows(predictor, made_up_rows(predictor.encoder), coded=coded)

    @classmethod
    def from_rows(cls, predictor: Predictor, rows: pa.RecordBatch, *, coded: bool) -> "Sample":
        """Take raw rows for a model."""
        rows, encoder = predictor.as_learnt(rows, _subject), predictor.encoder
        inputs = as_arrays(rows, encoder, _subject, coded=coded)
        return cls(inputs=inputs, outputs=predictor.outputs(rows, _subject), label=encoder.label)

    def distance(self, outputs: NDArray[Any]) -> float:
        """Return how far outputs are at most from those of `predict`."""
        differences = np.abs(outputs.astype(np.float64) - self.outputs)
        if not self.label.classes:
            differences /= np.maximum(np.abs(self.outputs - self.label.mean), self.label.deviation)
        return float(np.max(differences, initial=0.0))

    def require_same(self, outputs: NDArray[Any], name: str) -> None:
        """Raise ExportError unless outputs are those of `predict`."""
        if outputs.shape != self.outputs.shape:
            raise ExportError(f"{name}: gives {outputs.shape} for the sample rows, expected {self.outputs.shape}")
        if not (distance := self.distance(outputs)) <= CLOSE:
            raise ExportError(
                f"{name}: its outputs for sample rows are {distance:.1g} from those of predict, expected at most {CLOSE:g}; "
                f"nothing was written. Use the model by unbroken.load"
            )


def trace(predictor: Predictor, sample: Sample) -> ExportedProgram:
    """Return the program of a model, for any number of rows, without notes of where its source lies.

    Raises:
        ExportError: Torch cannot trace the network.
    """
    example = as_tensors(sample.inputs)
    rows = Dim("rows", min=1)
    try:
        with torch.no_grad():
            program = torch.export.export(
                WholeModel(predictor).eval(), (example,), dynamic_shapes=({name: {0: rows} for name in example},)
            )
    except Exception as error:
        raise cannot_export(predictor, error) from error
    program._guards_code = []  # that all columns have as many rows, in an order that differs from process to process
    for node in program.graph.nodes:
        for name in TRACES:
            node.meta.pop(name, None)
    return program


def cannot_export(predictor: Predictor, error: Exception) -> ExportError:
    """Return that a network cannot be exported, and in which words torch says so."""
    words = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ExportError(
        f"{type(predictor.model).__name__}: torch cannot export this network: {words}. Its forward may branch on shapes, "
        f"not on values, and compute in types that the format has; --format safetensors writes the weights of any"
    )


def as_tensors(inputs: Arrays) -> Columns:
    """Return inputs as tensors; categories have to be codes."""
    return {name: torch.from_numpy(np.array(values)) for name, values in inputs.items()}


def description(predictor: Predictor, *, coded: bool) -> str:
    """Return what an exported file says of itself, as JSON."""
    schema = predictor.encoder.schema
    return json.dumps(
        {
            "format": 1,
            "model_sha256": predictor.digest,
            "label": schema.label.name,
            "task": schema.task,
            "classes": list(schema.classes),
            "inputs": [_without_none(asdict(column)) for column in raw_columns(predictor.encoder, coded=coded)],
            "output": OUTPUTS[schema.task],
        }
    )


def _without_none(tree: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in tree.items() if value not in (None, "") or name == "missing"}


def _subject(name: str, row: int) -> str:
    return f"sample: column {name}, row {row}"
