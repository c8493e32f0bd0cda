"""Models in formats of others: the outputs of `predict`, raw columns in, and nothing at the target where that cannot be."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors
import torch
from safetensors.torch import load_file

import unbroken
from tests.unit.interchange.exported import KINDS, onnx_distance, program_distance, table_of_all_kinds, write_table
from unbroken.cli.main import answer
from unbroken.errors import ConfigError, ExportError
from unbroken.interchange.program import Sample

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # of torch to itself
CLOSE = 1e-6


def trained(folder: Path, label: str = "binary", **model: Any) -> unbroken.TrainedModel:
    source = write_table(folder / f"{label}.parquet", label)
    return unbroken.train(
        unbroken.Config(
            data=unbroken.DataConfig(source=source, label="label", categories=("code",), include=KINDS),
            model=unbroken.ModelConfig(**model),
            training=unbroken.TrainingConfig(epochs=2, learning_rate=0.02),
            runs_folder=str(folder / "runs"),
        )
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> unbroken.TrainedModel:
    return trained(tmp_path_factory.mktemp("export"))


@pytest.mark.slow
def test_a_program_gives_what_predict_gives_for_columns_of_every_kind(model: unbroken.TrainedModel, tmp_path: Path):
    path = unbroken.export(model.path, tmp_path / "model.pt2")
    rows = table_of_all_kinds(3000, seed=1)

    assert program_distance(model.predictor, path.read_bytes(), rows) <= CLOSE
    assert program_distance(model.predictor, path.read_bytes(), rows.slice(5, 1)) <= CLOSE
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt2"]


@pytest.mark.slow
def test_an_onnx_graph_gives_what_predict_gives_for_columns_of_every_kind(model: unbroken.TrainedModel, tmp_path: Path):
    content = unbroken.export(model.path, tmp_path / "model.onnx").read_bytes()
    rows = table_of_all_kinds(3000, seed=1)

    assert onnx_distance(model.predictor, content, rows) <= CLOSE
    assert onnx_distance(model.predictor, content, rows.slice(5, 1)) <= CLOSE
    assert_documented(content, model)


def assert_documented(content: bytes, model: unbroken.TrainedModel) -> None:
    """Demand what docs/format.md says of an ONNX file: versions, inputs, output, description."""
    import onnx  # noqa: PLC0415 (takes a second)

    graph = onnx.load_model_from_string(content)
    inputs = {value.name: value.type.tensor_type.elem_type for value in graph.graph.input}
    double, integer, text = onnx.TensorProto.DOUBLE, onnx.TensorProto.INT64, onnx.TensorProto.STRING
    types = [double, double, text, text, integer, integer, integer, integer]
    (metadata,) = [entry for entry in graph.metadata_props if entry.key == "unbroken"]
    description = json.loads(metadata.value)

    assert {entry.domain: entry.version for entry in graph.opset_import} == {"": 18, "ai.onnx.ml": 3}
    assert inputs == dict(zip(KINDS, types, strict=True))
    assert [value.name for value in graph.graph.output] == [description["output"]] == ["probability"]
    assert description["model_sha256"] == model.digest
    assert description["classes"] == [False, True]
    assert [column["missing"] for column in description["inputs"][:5]] == ["NaN", "NaN", "_", "", -(2**63)]
    assert str(Path.cwd()).encode() not in content


@pytest.mark.slow
def test_a_program_says_which_code_each_category_has_and_the_same_export_has_the_same_bytes(
    model: unbroken.TrainedModel, tmp_path: Path
):
    path = unbroken.export(model.path, tmp_path / "model.pt2")
    script = "import sys, unbroken; unbroken.export(sys.argv[1], sys.argv[2])"
    subprocess.run([sys.executable, "-c", script, str(model.path), str(tmp_path / "again.pt2")], check=True)
    extra = {"unbroken.json": ""}
    torch.export.load(io.BytesIO(path.read_bytes()), extra_files=extra)

    columns = {column["name"]: column for column in json.loads(extra["unbroken.json"])["inputs"]}

    assert columns["text"]["codes"] == {"": 2, "blue": 3, "green": 4, "red": 5}
    assert columns["text"]["missing"] == 1
    assert (tmp_path / "again.pt2").read_bytes() == path.read_bytes()
    assert str(Path.cwd()).encode() not in path.read_bytes()


def test_weights_are_those_of_the_model_and_carry_what_else_is_needed(model: unbroken.TrainedModel, tmp_path: Path):
    path = unbroken.export(model, tmp_path / "weights", format="safetensors")
    with safetensors.safe_open(path, "pt") as file:
        metadata = json.loads(file.metadata()["unbroken"])

    weights, expected = load_file(path), model.predictor.model.state_dict()

    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], value) for name, value in expected.items())
    assert metadata["model"] == {"factory": "tabm", "options": {}}
    assert metadata["scaler"] == json.loads(json.dumps(model.predictor.encoder.tree()))


@pytest.mark.slow
@pytest.mark.parametrize("label", ["multiclass", "regression"])
def test_programs_of_other_tasks_give_what_predict_gives(label: str, tmp_path: Path):
    model = trained(tmp_path, label)
    path = unbroken.export(model.predictor, tmp_path / "model.pt2")

    assert program_distance(model.predictor, path.read_bytes(), table_of_all_kinds(500, seed=1)) <= CLOSE


@pytest.mark.slow
@pytest.mark.parametrize("label", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("factory", ["mlp", "plr", "realmlp", "tabm", "tests.unit.interchange.networks:Plain"])
def test_each_network_and_task_leaves_for_columns_of_every_kind(label: str, factory: str, tmp_path: Path):
    model, rows = trained(tmp_path, label, factory=factory), table_of_all_kinds(3000, seed=1)

    graph = unbroken.export(model.predictor, tmp_path / "model.onnx").read_bytes()
    program = unbroken.export(model.predictor, tmp_path / "model.pt2").read_bytes()

    assert onnx_distance(model.predictor, graph, rows) <= CLOSE
    assert program_distance(model.predictor, program, rows) <= CLOSE


@pytest.mark.slow
def test_the_same_export_to_onnx_has_the_same_bytes_in_another_process(model: unbroken.TrainedModel, tmp_path: Path):
    script = "import sys, unbroken; unbroken.export(sys.argv[1], sys.argv[2])"
    for name in ("once.onnx", "again.onnx"):
        subprocess.run([sys.executable, "-c", script, str(model.path), str(tmp_path / name)], check=True)

    assert (tmp_path / "once.onnx").read_bytes() == (tmp_path / "again.onnx").read_bytes()


@pytest.mark.parametrize(
    ("network", "target", "message"),
    [
        ("BranchesOnValues", "model.pt2", "BranchesOnValues: torch cannot export this network"),
        pytest.param("KnowsTraining", "model.pt2", r"the \.pt2 program: its outputs for .*", marks=pytest.mark.slow),
        pytest.param("Bessel", "model.onnx", "Bessel: torch cannot export this network", marks=pytest.mark.slow),
    ],
)
def test_a_network_that_cannot_leave_is_one_paragraph_and_leaves_nothing(
    network: str, target: str, message: str, tmp_path: Path
):
    model = trained(tmp_path, factory=f"tests.unit.interchange.networks:{network}")

    with pytest.raises(ExportError, match=message) as error:
        unbroken.export(model.predictor, tmp_path / "exported" / target)

    assert "\n" not in str(error.value)
    assert not (tmp_path / "exported").exists()


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("model.h5", {}, "format: found 'h5' for .*, expected one of onnx, pt2, safetensors"),
        ("model.onnx", {"format": "keras"}, "format: found 'keras'"),
        ("there.pt2", {}, "target: found something at .*set overwrite to replace a file"),
        (".", {"format": "pt2", "overwrite": True}, "target: found something at"),
        ("s3://bucket/model.pt2", {}, "expected a path on this machine, not a URL"),
    ],
)
def test_targets_and_formats_that_cannot_be_are_refused(
    model: unbroken.TrainedModel, tmp_path: Path, target: str, options: dict[str, Any], message: str
):
    (tmp_path / "there.pt2").write_bytes(b"before")
    with pytest.raises(ConfigError, match=message):
        unbroken.export(model.predictor, target if "://" in target else tmp_path / target, **options)

    assert (tmp_path / "there.pt2").read_bytes() == b"before"


@pytest.mark.slow
def test_a_package_that_is_not_installed_is_named_with_its_extra(model: unbroken.TrainedModel, tmp_path: Path):
    script = (
        "import sys; sys.modules['safetensors'] = None; sys.modules['onnxscript'] = None\n"
        "from unbroken.cli.main import answer\n"
        "print(answer(['export', sys.argv[1], '--target', sys.argv[2]]))"
    )
    for extra in ("onnx", "safetensors"):
        command = [sys.executable, "-c", script, str(model.path), str(tmp_path / f"model.{extra}")]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
        assert result.stdout == "2\n"
        assert f"pip install 'unbroken[{extra}]'" in " ".join(result.stderr.split())


def test_the_command_exports_a_run_by_the_beginning_of_its_key(model: unbroken.TrainedModel, tmp_path: Path):
    run = model.path.parent
    words = [
        "export",
        run.name[:6],
        "--runs_folder",
        str(run.parent),
        "--target",
        str(tmp_path / "weights.safetensors"),
    ]

    assert answer(words) == 0
    assert answer(words) == 2
    assert answer([*words, "--overwrite", "true"]) == 0
    assert load_file(tmp_path / "weights.safetensors").keys() == model.predictor.model.state_dict().keys()


def test_sample_rows_hold_missing_and_unseen_values(model: unbroken.TrainedModel):
    inputs = Sample.of(model.predictor, coded=False).inputs

    assert np.isnan(inputs["number"]).any()
    assert {"_", "unseen"} <= set(inputs["text"])
    assert (inputs["moment"] == -(2**63)).any()


def test_a_file_that_was_read_as_parquet_is_what_was_trained(model: unbroken.TrainedModel):
    """Every kind of column is in the model: otherwise the tests above would compare less than they say."""
    source = model.path.parents[2] / "binary.parquet"

    assert pq.read_schema(source).names == [*KINDS, "label"]
    assert {column.kind for column in model.predictor.encoder.schema.features} == {
        *("number", "boolean", "category", "date", "timestamp", "time", "duration")
    }
