"""What builds a champion's model is called unnamed only where the registry, the module and its source are the project's own."""

import shutil
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract import encoded
from tests.unit.retraining.monthly import arrives, config_for, month, retrain
from unbroken.checkpoints.format import read_checkpoint
from unbroken.config import ModelConfig, PredictConfig
from unbroken.errors import CheckpointMismatchError, ConfigError
from unbroken.pipeline import predict
from unbroken.serving.prediction import load_predictor
from unbroken.serving.registry import Pointer
from unbroken.storage import atomic
from unbroken.storage.artifact import to_json
from unbroken.storage.sealed import seal

NET = """
from torch import nn
from unbroken.models.mlp import MLP

def build(features, width=8):
    return MLP(features, hidden=[width], dropout=0.0)
"""


@dataclass(frozen=True)
class Project:
    """A project whose champion is built by a module of its own."""

    folder: Path
    module: Path

    @property
    def registry(self) -> Path:
        return self.folder / "models" / "toy"

    @property
    def champion(self) -> Path:
        (path,) = (self.registry / "versions").glob("*.pth")
        return path


def promoted(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, modules: Path) -> Project:
    """Promote a model built by a new module that lies in a folder, with the project's folder as the present one."""
    module = modules / f"{name}.py"
    modules.mkdir(exist_ok=True)
    module.write_text(NET)
    monkeypatch.syspath_prepend(modules)
    monkeypatch.chdir(folder)
    arrives(folder, "1.parquet", month(1))
    decision = retrain(config_for(folder, train={"model": ModelConfig(factory=f"{name}:build", options={"width": 6})}))
    assert decision.verdict.promote
    return Project(folder, module)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    with pytest.MonkeyPatch.context() as patch:
        promoted(folder, patch, "net_trusted", folder)
    return folder


@pytest.fixture
def project(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Project]:
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("net_trusted", None)
    yield Project(tmp_path, tmp_path / "net_trusted.py")
    sys.modules.pop("net_trusted", None)


def test_a_champion_is_built_by_the_projects_module_and_the_options_that_it_was_promoted_with(project: Project):
    named = load_predictor(project.registry, factory=f"{project.module.stem}:build")

    model = load_predictor(project.registry)

    rows = month(2)
    assert model.predict(rows).equals(named.predict(rows))
    assert len(model.model.state_dict()["layers.0.weight"]) == 6


def test_a_scoring_needs_no_factory(project: Project):
    predictions = predict(PredictConfig(model="models/toy", source="in"))

    assert predictions.rows == 400


def test_a_checkpoint_alone_calls_nothing_that_it_names(project: Project):
    with pytest.raises(
        CheckpointMismatchError, match=r"expected one of mlp, plr, realmlp, tabm.*: a file alone names what builds it"
    ):
        load_predictor(project.champion)


def test_a_registry_outside_the_project_calls_nothing_that_it_names(project: Project, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()

    with pytest.raises(CheckpointMismatchError, match="the registry lies outside the project"):
        load_predictor(project.registry, project=tmp_path / "elsewhere")


def test_a_link_into_the_project_does_not_bring_a_registry_in(project: Project, tmp_path: Path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "models").symlink_to(project.folder / "models")

    with pytest.raises(CheckpointMismatchError, match="the registry lies outside the project"):
        load_predictor(inner / "models" / "toy", project=inner)


def test_a_module_outside_the_project_is_not_called_unnamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "project").mkdir()
    project = promoted(tmp_path / "project", monkeypatch, "net_outside", tmp_path / "outside")

    with pytest.raises(CheckpointMismatchError, match=r"outside/net_outside\.py lies outside the project"):
        load_predictor(project.registry)


def test_a_module_installed_inside_the_project_is_not_the_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    packages = tmp_path / ".venv" / "site-packages"
    packages.parent.mkdir()
    project = promoted(tmp_path, monkeypatch, "net_installed", packages)

    with pytest.raises(CheckpointMismatchError, match=r"net_installed\.py lies outside the project"):
        load_predictor(project.registry)


def test_a_source_that_changed_since_the_promotion_has_to_be_named(project: Project):
    project.module.write_text(NET.replace("dropout=0.0", "dropout=0.5"))

    with pytest.raises(
        CheckpointMismatchError,
        match=f"expected one of mlp, plr, realmlp, tabm.*: {project.module.stem} changed since it was",
    ):
        load_predictor(project.registry)
    project.module.write_text(f"# a comment changes nothing\n{NET}")
    load_predictor(project.registry)


@pytest.mark.parametrize("factory", ["os:mkdir", "planted:build"])
def test_a_forged_registry_imports_and_calls_nothing(factory: str, project: Project):
    (project.folder / "planted.py").write_text("raise SystemExit('executed')")
    tree = read_checkpoint(project.champion)
    tree["config"]["model"] |= {"factory": factory, "options": {}}
    forged = project.registry / "versions" / "forged.pth"
    forged.write_bytes(encoded(tree))
    digest = atomic.digest(forged)
    forged.rename(forged.with_name(f"{digest}.pth"))
    (project.registry / "champion.json").write_bytes(seal(to_json(Pointer(champions=(digest,)), indent=1)))

    with pytest.raises(
        CheckpointMismatchError, match=f"built by '{factory}', expected one of mlp, plr, realmlp, tabm.*: "
    ):
        load_predictor(project.registry)

    assert "planted" not in sys.modules


def test_a_caller_who_names_another_function_than_the_champions_is_told(project: Project):
    with pytest.raises(CheckpointMismatchError, match=f"built by '{project.module.stem}:build', expected 'mlp'"):
        load_predictor(project.registry, factory="mlp")


def test_the_next_challenger_is_compared_with_a_champion_of_the_projects_own(project: Project):
    arrives(project.folder, "2.parquet", month(2))

    assert retrain(config_for(project.folder)).verdict.champion > 0.5


def test_the_next_challenger_is_not_compared_with_a_champion_whose_source_has_changed(project: Project):
    arrives(project.folder, "2.parquet", month(2))
    project.module.write_text(NET.replace("dropout=0.0", "dropout=0.5"))

    with pytest.raises(ConfigError, match=r"changed since it was trained.*gate\.champion_factory"):
        retrain(config_for(project.folder))
