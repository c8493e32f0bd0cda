"""What torch and safetensors read: the traced program as `.pt2`, the weights alone as `.safetensors`."""

import io
import json
from typing import Any

import torch
from torch import Tensor

from unbroken.errors import ExportError
from unbroken.interchange.program import Sample, as_tensors, cannot_export, description, trace
from unbroken.serving.prediction import Predictor

DESCRIPTION = "unbroken.json"
METADATA = "unbroken"


def program_content(predictor: Predictor) -> bytes:
    """Return a model as the bytes of a `.pt2` file, after its outputs for sample rows were compared with those of `predict`."""
    sample = Sample.of(predictor, coded=True)
    program, buffer = trace(predictor, sample), io.BytesIO()
    try:
        torch.export.save(program, buffer, extra_files={DESCRIPTION: description(predictor, coded=True)})
        module = torch.export.load(io.BytesIO(buffer.getvalue())).module()
    except Exception as error:
        raise cannot_export(predictor, error) from error
    with torch.no_grad():
        sample.require_same(module(as_tensors(sample.inputs)).numpy(), "the .pt2 program")
    return buffer.getvalue()


def weights_content(predictor: Predictor) -> bytes:
    """Return the weights of a model as the bytes of a `.safetensors` file, after they were read back and compared."""
    from safetensors.torch import load, save  # noqa: PLC0415 (an extra)

    # Tensors that share their memory are not taken, so each gets its own.
    tensors = {name: value.detach().clone().contiguous() for name, value in predictor.model.state_dict().items()}
    try:
        content = save(tensors, {METADATA: _encoder_and_model(predictor)})
        same = _equal(load(content), tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise ExportError(f"{type(predictor.model).__name__}: safetensors cannot hold its weights: {error}") from error
    if not same:
        raise ExportError(f"{type(predictor.model).__name__}: its weights come back as others; nothing was written")
    return content


def _encoder_and_model(predictor: Predictor) -> str:
    """Return what else is needed to compute with the weights, as JSON: how rows become inputs, and what builds the network."""
    known: dict[str, Any] = json.loads(description(predictor, coded=True))
    model = {"factory": predictor.config.factory, "options": predictor.config.options}
    return json.dumps({**known, "model": model, "scaler": predictor.encoder.tree()})


def _equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(
        left[name].dtype == value.dtype and torch.equal(left[name].view(-1), value.view(-1))
        for name, value in right.items()
    )
