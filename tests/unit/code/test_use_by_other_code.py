"""A finished run and a published model are used by other code only where it gives the same, and it is said."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from tests.contract import run_stages, write_rows
from tests.edited import EditedLibrary
from unbroken import pipeline
from unbroken.config import Config, DataConfig, ModelConfig, RetrainConfig, TrainingConfig
from unbroken.data.kinds import KINDS
from unbroken.data.schema import Column, Schema
from unbroken.errors import CodeChangedError
from unbroken.evaluation import self_check
from unbroken.features.encoder import CategoryCodes, Encoder, LabelScale, NumberScale
from unbroken.run import Run, open_run
from unbroken.serving.prediction import load_predictor
from unbroken.stages import finished

SPREAD = ("models/mlp.py", "SPREAD = 4.0", "SPREAD = 4.5")
LEARNING = ("optimization/mlp_gradient.py", "\nimport torch\n", "\nimport torch\n\nUNUSED = 1\n")
DOCSTRING = ("models/mlp.py", '"""The ', '"""Here: the ')
SERVING = ("models/raw_rows.py", "outputs.float()", "outputs.float() * 0.5")
MODULE = """from {parts} import ACTIVATION, Net

def build(features):
    return Net(features, ACTIVATION)
"""
PARTS = """import torch

ACTIVATION = torch.tanh

class Net(torch.nn.Module):
    def __init__(self, features, activation):
        super().__init__()
        self.activation = activation
        self.first = torch.nn.Linear(len(features.numbers), 4)
        self.last = torch.nn.Linear(4, features.outputs)

    def forward(self, numbers, codes):
        return self.last(self.activation(self.first(numbers)))
"""


def config_for(folder: Path, factory: str = "mlp") -> Config:
    return Config(
        data=DataConfig(source=write_rows(folder / "rows.parquet", "binary")),
        model=ModelConfig(factory=factory, options={"hidden": [8]} if factory == "mlp" else {}),
        training=TrainingConfig(epochs=2),
        runs_folder=str(folder / "runs"),
    )


def use_other_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("code.record", "serving.code_check"):
        monkeypatch.setattr(f"unbroken.{module}.installed_version", lambda name: f"9.9 of {name}")


def train_again(library: EditedLibrary, config: Config) -> tuple[int, str]:
    settings = ("--data.source", config.data.source, "--model.options", '{"hidden": [8]}', "--training.epochs", "2")
    return said(library, "train", "--no-orchestrator", *settings, "--runs_folder", config.runs_folder)


def score(library: EditedLibrary, run: Run, config: Config, *arguments: str) -> tuple[int, str]:
    target = str(library.folder / "scores.parquet")
    places = ("--model", str(run.published), "--source", config.data.source, "--target", target)
    return said(library, "predict", "--no-orchestrator", *places, *arguments)


def said(library: EditedLibrary, *arguments: str) -> tuple[int, str]:
    """Return the exit code of a command line and all it says, spaces made one."""
    ended = library.run(*arguments)
    assert "Traceback" not in ended.stderr
    return ended.returncode, " ".join((ended.stdout + ended.stderr).split())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Config:
    config = config_for(tmp_path_factory.mktemp("trained"))
    run = open_run(config)
    pipeline.train(config)
    assert finished.load(run, config) is not None
    return config


@pytest.mark.parametrize(
    ("edit", "code", "words"),
    [
        (DOCSTRING, 0, ["Nothing to do"]),
        (LEARNING, 0, ["what differs: optimization/mlp_gradient.py. Its metrics are equal to the bit"]),
        (SPREAD, 2, ["what differs: models/mlp.py. Restore it with that version", "recorded", "unbroken"]),
    ],
)
@pytest.mark.slow
def test_a_finished_run_passes_its_self_check_or_the_changed_code_is_named(
    edit: tuple[str, str, str], code: int, words: list[str], trained: Config, tmp_path: Path
):
    published = open_run(trained).published.read_bytes()

    ended, text = train_again(EditedLibrary.copy(tmp_path).edit(*edit), trained)

    assert ended == code, text
    assert [word for word in words if word not in text] == [], text
    assert "factory draws random numbers" not in text
    assert open_run(trained).published.read_bytes() == published


@pytest.mark.parametrize(
    ("edit", "code", "words", "silent"),
    [
        (DOCSTRING, 0, [], True),
        (LEARNING, 0, ["what differs: optimization/mlp_gradient.py. Its recorded outputs are equal to the bit"], False),
        (SPREAD, 2, ["models/mlp.py", "--resume.accept_code true", "train it anew", "differ by"], False),
        (SERVING, 2, ["models/raw_rows.py", "--resume.accept_code true"], False),
    ],
)
def test_a_prediction_by_other_code_is_checked_by_recorded_outputs(
    edit: tuple[str, str, str], code: int, words: list[str], silent: bool, trained: Config, tmp_path: Path
):
    library = EditedLibrary.copy(tmp_path).edit(*edit)

    ended, text = score(library, open_run(trained), trained)

    assert ended == code, text
    assert [word for word in words if word not in text] == [], text
    assert ("trained by" not in text) == silent
    assert (library.folder / "scores.parquet").exists() == (code == 0)


@pytest.mark.slow
def test_a_prediction_by_other_code_goes_on_where_it_is_accepted(trained: Config, tmp_path: Path):
    library = EditedLibrary.copy(tmp_path).edit(*SPREAD)

    ended, text = score(library, open_run(trained), trained, "--resume.accept_code", "true")

    assert ended == 0, text
    assert "what differs: models/mlp.py. Its recorded outputs differ by" in text


@pytest.mark.parametrize(("factor", "refused"), [(1 + 1e-6, False), (1 + 1e-4, True)])
def test_outputs_that_differ_in_their_last_bits_are_warned_of_and_others_refused(
    factor: float, refused: bool, trained: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    run = open_run(trained)
    outputs = self_check.outputs_of_raw_rows
    use_other_torch(monkeypatch)
    monkeypatch.setattr(self_check, "outputs_of_raw_rows", lambda *inputs: outputs(*inputs).astype(np.float64) * factor)

    if refused:
        with pytest.raises(CodeChangedError, match=r"torch 9\.9 of torch.*differ by 0\.0001 .*more than 1e-05"):
            load_predictor(run.published)
    else:
        load_predictor(run.published)
        assert "differ by 1e-06" in caplog.text


@pytest.mark.parametrize(
    ("edit", "arguments", "code", "words"),
    [
        (LEARNING, (), 0, "Its recorded outputs are equal to the bit"),
        (SPREAD, (), 2, "--resume.accept_code true"),
        (SPREAD, ("--train.resume.accept_code", "true"), 0, "Its recorded outputs differ by"),
    ],
)
@pytest.mark.slow
def test_a_champion_judged_by_other_code_is_checked_by_recorded_outputs(
    edit: tuple[str, str, str], arguments: tuple[str, ...], code: int, words: str, tmp_path: Path
):
    data, training = (
        DataConfig(source=str(tmp_path / "in"), label="label"),
        TrainingConfig(epochs=30, learning_rate=0.05),
    )
    train = replace(config_for(tmp_path), data=data, training=training)
    write_rows(tmp_path / "in" / "first.parquet", "binary", rows=1000)
    pipeline.retrain(RetrainConfig(model="m", models_folder=str(tmp_path / "models"), train=train))
    pointer = (tmp_path / "models" / "m" / "champion.json").read_bytes()
    assert b"promoted" in pointer
    write_rows(tmp_path / "in" / "second.parquet", "binary", seed=1)
    library = EditedLibrary.copy(tmp_path / "edited").edit(*edit)

    settings = (
        "--train.model.options",
        '{"hidden": [8]}',
        "--train.training.epochs",
        "30",
        "--train.data.label",
        "label",
    )
    places = ("--models_folder", str(tmp_path / "models"), "--train.runs_folder", train.runs_folder)
    source = ("--model", "m", "--train.data.source", train.data.source)
    ended, text = said(library, "retrain", "--no-orchestrator", *source, *places, *settings, *arguments)

    assert ended == code, text
    assert words in text
    assert ((tmp_path / "models" / "m" / "champion.json").read_bytes() == pointer) == (code == 2)


def test_a_model_without_a_record_says_so_and_goes_on(
    trained: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    copy = tmp_path / "checkpoint.pth"
    copy.write_bytes(open_run(trained).published.read_bytes())

    load_predictor(copy)

    assert "carries no digest of the code that trained it" in caplog.text


def test_the_same_code_says_nothing(trained: Config, caplog: pytest.LogCaptureFixture):
    load_predictor(open_run(trained).published)

    assert caplog.text == ""


def test_a_check_that_is_not_whole_is_refused(trained: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = open_run(trained)
    copy = tmp_path / "checkpoint.pth"
    copy.write_bytes(run.published.read_bytes())
    manifest = json.loads(run.manifest.read_text())
    manifest["self_check"]["rows"] = manifest["self_check"]["rows"][:64]
    del manifest["content_sha256"]  # as one of an earlier version
    (tmp_path / "checkpoint.json").write_text(json.dumps(manifest))
    use_other_torch(monkeypatch)

    with pytest.raises(CodeChangedError, match="self_check is not whole"):
        load_predictor(copy)


def test_published_again_by_other_code_the_recorded_outputs_stay(
    trained: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    config = config_for(tmp_path)
    run_stages(config)
    manifest = json.loads(open_run(config).manifest.read_text())
    use_other_torch(monkeypatch)

    run_stages(config)

    assert json.loads(open_run(config).manifest.read_text()) == manifest
    assert "Its metrics are equal to the bit" in caplog.text


def test_the_rows_are_made_up_of_the_encoder_for_every_kind():
    kinds = [kind for kind in KINDS if kind != "category"]
    numbers = [NumberScale(name=kind, kind=kind, low=0.0, high=1.0, fill=0.25, indicator=False) for kind in kinds]
    label = LabelScale(column=Column(name="label", kind="number"), classes=(), mean=0.0, deviation=1.0)
    categories = (CategoryCodes(name="category", values=("a", "unseen")),)
    features = tuple(Column(name=name, kind=name) for name in KINDS)
    schema = Schema(features=features, label=label.column, task="regression", classes=())
    encoder = Encoder(schema=schema, numbers=tuple(numbers), categories=categories, label=label)

    rows = self_check.made_up_rows(encoder)

    assert rows.schema.types == [KINDS[name].plain for name in KINDS]
    assert rows["category"].to_pylist()[:4] == ["a", "unseen", None, "unseen_"]
    assert rows["number"].to_pylist()[:4] == [0.0, 1.0, None, 0.25]
    inputs = encoder.transform_inputs(rows, lambda name, _: name)
    assert inputs["category"].to_pylist()[:4] == [2, 3, 1, 0]
    assert inputs["number"].to_pylist()[:4] == [0.0, 1.0, 0.25, 0.25]
    assert pa.types.is_date(rows["date"].type)


def own_model(folder: Path, name: str) -> Callable[[str, str], int]:
    """Write a model of two modules; return what edits the second."""
    parts = folder / f"{name}_parts.py"
    (folder / f"{name}.py").write_text(MODULE.format(parts=f"{name}_parts"))
    parts.write_text(PARTS)
    return lambda old, new: parts.write_text(parts.read_text().replace(old, new))


def test_a_module_that_the_models_module_imports_is_part_of_what_names_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(tmp_path)
    edit = own_model(tmp_path, "net_named")
    config = config_for(tmp_path, "net_named:build")
    run = open_run(config)

    edit("import torch", '"""A net."""\n\nimport torch  # from pytorch.org')
    assert open_run(config).key == run.key
    edit("torch.tanh", "torch.relu")
    assert open_run(config).key != run.key


def test_a_training_says_which_run_of_other_model_code_lies_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    monkeypatch.syspath_prepend(tmp_path)
    edit = own_model(tmp_path, "net_beside")
    config = config_for(tmp_path, "net_beside:build")
    run_stages(config)
    previous = open_run(config)
    edit("torch.tanh", "torch.relu")

    run_stages(config)

    assert open_run(config).key != previous.key
    assert f"as a run of its own: {previous.folder} differs by the source of model.factory" in caplog.text


def test_an_edited_factory_is_noticed_when_it_predicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    edit = own_model(tmp_path, "net_predicts")
    restored = run_stages(config_for(tmp_path, "net_predicts:build"))
    load_predictor(restored.path, factory="net_predicts:build")
    monkeypatch.setattr("net_predicts.ACTIVATION", torch.relu)
    edit("torch.tanh", "torch.relu")

    with pytest.raises(CodeChangedError, match=r"what differs: net_predicts_parts\. Its recorded outputs differ"):
        load_predictor(restored.path, factory="net_predicts:build")
