"""ONNX: the traced program as a graph whose inputs are the raw columns, categories as strings."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import ExportedProgram

from unbroken.errors import ExportError
from unbroken.features.encoder import FIRST_CODE, MISSING, UNSEEN
from unbroken.interchange.columns import missing_text
from unbroken.interchange.program import OUTPUTS, Sample, cannot_export, description, trace
from unbroken.serving.prediction import Predictor

OPSET, STRINGS_OPSET, IR_VERSION = 18, 3, 10
"""Versions of `ai.onnx`, of `ai.onnx.ml`, whose LabelEncoder gives strings their codes, and of the file format."""
METADATA = "unbroken"


def content(predictor: Predictor) -> bytes:
    """Return a model as the bytes of an ONNX file, after its outputs for sample rows were compared with those of `predict`."""
    program = trace(predictor, Sample.of(predictor, coded=True))
    graph = _graph(predictor, program)
    model = graph.SerializeToString(deterministic=True)
    sample = Sample.of(predictor, coded=False)
    sample.require_same(_outputs_of(model, sample), "the ONNX model")
    return model


def _graph(predictor: Predictor, program: ExportedProgram) -> Any:
    """Return the program as a model of ONNX."""
    try:
        exported = torch.onnx.export(program, opset_version=OPSET, verbose=False, external_data=False)
        assert exported is not None
        model = exported.model_proto
    except Exception as error:
        raise cannot_export(predictor, error) from error
    prefix = _name(model.graph, predictor)
    _read_strings(model, predictor, prefix)
    _clean(model, description(predictor, coded=False))
    return model


def _name(graph: Any, predictor: Predictor) -> str:
    """Call inputs as the columns, the output as predictions do, and all else by names with a prefix that no column has."""
    columns = [column.name for column in predictor.encoder.schema.features]
    prefix = "/"
    while any(name.startswith(prefix) for name in columns):
        prefix += "/"
    output = OUTPUTS[predictor.encoder.schema.task]
    while output in columns:
        output += "_"
    names = {value.name: name for value, name in zip(graph.input, columns, strict=True)}
    names[graph.output[0].name] = output
    _rename(graph, names, prefix)
    return prefix


def _rename(graph: Any, names: dict[str, str], prefix: str) -> None:
    def renamed(name: str) -> str:
        return names.get(name, prefix + name) if name else name

    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = renamed(value.name)
    for node in graph.node:
        node.input[:] = map(renamed, node.input)
        node.output[:] = map(renamed, node.output)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename(inner, names, prefix)


def _read_strings(model: Any, predictor: Predictor, prefix: str) -> None:
    """Let categories enter as strings, each of which a first node turns into its code."""
    from onnx import TensorProto, helper  # noqa: PLC0415 (an extra)

    graph = model.graph
    for category in predictor.encoder.categories:
        (value,) = [value for value in graph.input if value.name == category.name]
        codes = f"{prefix}codes of {category.name}"
        for node in graph.node:
            node.input[:] = [codes if name == category.name else name for name in node.input]
        value.type.tensor_type.elem_type = TensorProto.STRING
        known = range(FIRST_CODE, FIRST_CODE + len(category.values))
        encoder = helper.make_node(
            "LabelEncoder",
            [category.name],
            [codes],
            domain="ai.onnx.ml",
            keys_strings=[*category.values, missing_text(category.values)],
            values_int64s=[*known, MISSING],
            default_int64=UNSEEN,
        )
        graph.node.insert(0, encoder)
    if predictor.encoder.categories:
        model.opset_import.append(helper.make_opsetid("ai.onnx.ml", STRINGS_OPSET))


def _clean(model: Any, text: str) -> None:
    """Drop what names places in source files, and say what the model is."""
    from onnx import helper  # noqa: PLC0415 (an extra)

    model.ir_version, model.producer_name, model.graph.name = IR_VERSION, METADATA, METADATA
    for part in (model, *_parts(model.graph)):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    model.graph.ClearField("value_info")
    for part in (*model.graph.input, *model.graph.output):
        part.type.tensor_type.shape.dim[0].dim_param = "rows"
    helper.set_model_props(model, {METADATA: text})


def _parts(graph: Any) -> list[Any]:
    return [graph, *graph.node, *graph.input, *graph.output, *graph.initializer]


def _outputs_of(model: bytes, sample: Sample) -> NDArray[Any]:
    """Return what ONNX's own evaluator gives for sample rows."""
    import onnx  # noqa: PLC0415 (an extra)
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415

    try:
        onnx.checker.check_model(model, full_check=True)
        (outputs,) = ReferenceEvaluator(onnx.load_model_from_string(model)).run(None, sample.inputs)
    except Exception as error:
        raise ExportError(f"the ONNX model: cannot be evaluated: {error}. Nothing was written") from error
    return np.asarray(outputs)
