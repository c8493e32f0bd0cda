"""Each change of the code, in each use of what other code made: nothing goes on in silence but what is the same code."""

import dataclasses
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.contract import StopAfter, Stopped, run_stages
from tests.unit.code.test_use_by_other_code import MODULE, PARTS, config_for
from tests.unit.retraining import monthly
from unbroken import pipeline
from unbroken.code.record import EVENT
from unbroken.code.source import library_digest, library_modules
from unbroken.config import Config, ModelConfig, ResumeConfig, RetrainConfig
from unbroken.errors import CodeChangedError
from unbroken.models import mlp
from unbroken.run import open_run
from unbroken.serving.prediction import load_predictor

EARLIER_MEMBERS = ("content_sha256", "self_check")
"""What manifests of versions did not have that recorded no code."""


@dataclass
class Project:
    """A folder with what the code before made, and the code of now."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    factory: str = "mlp"
    digests: dict[str, str] = field(default_factory=library_modules)

    @property
    def config(self) -> Config:
        config = config_for(self.folder, self.factory)
        return replace(config, training=replace(config.training, batch_size=32))

    @property
    def retraining(self) -> RetrainConfig:
        options = {"hidden": [8]} if self.factory == "mlp" else {}
        return monthly.config_for(self.folder, train={"model": ModelConfig(factory=self.factory, options=options)})

    def edit_library(self, module: str | None = None) -> None:
        """Let the library's source be another: in one module that decides bits, or in nothing that its parser sees."""
        modules = self.digests | ({module: "0" * 16} if module else {})
        for name in ("record", "source"):
            self.monkeypatch.setattr(f"unbroken.code.{name}.library_modules", lambda: modules)
        self.monkeypatch.setattr("unbroken.stages.finished.library_modules", lambda: modules)
        for name in ("stages.finished", "serving.code_check", "evaluation.self_check"):
            self.monkeypatch.setattr(f"unbroken.{name}.library_digest", lambda: f"edited {library_digest()}")

    def forget(self) -> None:
        """Let runs and models be of a version that recorded no code."""
        for path in self.folder.rglob("code.json"):
            path.unlink()
        for path in self.folder.rglob("journal.jsonl"):
            lines = [line for line in path.read_text().splitlines() if json.loads(line)["event"] != EVENT]
            path.write_text("".join(f"{line}\n" for line in lines))
        for path in self.folder.rglob("*.json"):
            content = json.loads(path.read_text())
            if "lineage" in content:
                content["lineage"].pop("code", None)
                path.write_text(json.dumps({key: content[key] for key in content if key not in EARLIER_MEMBERS}))


def docstring(project: Project) -> None:
    project.edit_library()


def gradient(project: Project) -> None:
    project.edit_library("optimization/mlp_gradient.py")


def outputs(project: Project) -> None:
    project.edit_library("models/mlp.py")
    project.monkeypatch.setattr(mlp, "SPREAD", 4.5)


def other_torch(project: Project) -> None:
    for module in ("code.record", "serving.code_check", "stages.finished"):
        project.monkeypatch.setattr(f"unbroken.{module}.installed_version", lambda name: f"9.9 of {name}")


def own_module(project: Project) -> None:
    parts = project.folder / f"{project.factory.partition(':')[0]}_parts.py"
    parts.write_text(parts.read_text() + "\nUNUSED = 1\n")


def own_outputs(project: Project) -> None:
    own_module(project)
    project.monkeypatch.setattr(f"{project.factory.partition(':')[0]}.ACTIVATION", torch.relu)


def no_record(project: Project) -> None:
    project.forget()


def no_record_and_other_outputs(project: Project) -> None:
    project.forget()
    outputs(project)


def nothing(_: Project) -> None:
    pass


def resume(project: Project) -> None:
    run_stages(project.config)


def finished(project: Project) -> None:
    pipeline.train(project.config)


def predict(project: Project) -> None:
    (published,) = project.folder.glob("runs/*/checkpoint.pth")
    load_predictor(published, factory=project.factory)


def retrain(project: Project) -> None:
    monthly.arrives(project.folder, "2.parquet", monthly.month(2))
    monthly.retrain(project.retraining)


def _name(function: Any) -> str:
    return function.__name__


USES: tuple[Callable[[Project], None], ...] = (resume, finished, predict, retrain)
SILENT, REFUSED = "", "refused: "
NEW_RUN = "differs by the source of model.factory"
EQUAL_METRICS, EQUAL_OUTPUTS = "Its metrics are equal to the bit", "Its recorded outputs are equal to the bit"
STOPPED = REFUSED + "--resume.accept_code true"
NOTHING_KNOWN = "carries no digest of the code that trained it"
MATRIX: dict[Callable[[Project], None], tuple[str, str, str, str]] = {
    nothing: (SILENT, SILENT, SILENT, SILENT),
    docstring: (SILENT, SILENT, SILENT, SILENT),
    gradient: (STOPPED, EQUAL_METRICS, EQUAL_OUTPUTS, EQUAL_OUTPUTS),
    outputs: (STOPPED, REFUSED + "what differs: models/mlp.py", STOPPED, STOPPED),
    other_torch: (STOPPED, EQUAL_METRICS, EQUAL_OUTPUTS, EQUAL_OUTPUTS),
    own_module: (NEW_RUN, NEW_RUN, EQUAL_OUTPUTS, EQUAL_OUTPUTS),
    own_outputs: (NEW_RUN, NEW_RUN, STOPPED, STOPPED),
    no_record: (STOPPED, NOTHING_KNOWN, NOTHING_KNOWN, NOTHING_KNOWN),
    no_record_and_other_outputs: (REFUSED + NOTHING_KNOWN, REFUSED + NOTHING_KNOWN, NOTHING_KNOWN, NOTHING_KNOWN),
}
"""What is said by the code of now: in a resume, of a finished run, in a prediction, of a champion."""

SLOW = [(change, retrain) for change in (docstring, gradient, outputs, own_module, no_record_and_other_outputs)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(tmp_path, monkeypatch)


def prepare(project: Project, change: Callable[[Project], None], use: Callable[[Project], None]) -> None:
    """Let the code before make what is used: half a run, a whole one, or a champion."""
    if change in (own_module, own_outputs):
        name = f"net_{_name(change)}_{_name(use)}"
        (project.folder / f"{name}.py").write_text(MODULE.format(parts=f"{name}_parts"))
        (project.folder / f"{name}_parts.py").write_text(PARTS)
        project.monkeypatch.syspath_prepend(project.folder)
        project.factory = f"{name}:build"
    if use is resume:
        with pytest.raises(Stopped):
            run_stages(project.config, [StopAfter(8)])
    elif use is retrain:
        monthly.arrives(project.folder, "1.parquet", monthly.month(1))
        assert monthly.retrain(project.retraining).verdict.promote
    else:
        pipeline.train(project.config)


CELLS = [
    pytest.param(change, use, id=f"{_name(change)}-{_name(use)}", marks=[pytest.mark.slow] * ((change, use) in SLOW))
    for change in MATRIX
    for use in USES
]


@pytest.mark.parametrize(("change", "use"), CELLS)
def test_no_change_of_the_code_is_silent_in_any_use(
    change: Callable[[Project], None],
    use: Callable[[Project], None],
    project: Project,
    caplog: pytest.LogCaptureFixture,
):
    prepare(project, change, use)
    change(project)
    expected = MATRIX[change][USES.index(use)]
    caplog.clear()
    caplog.set_level(logging.INFO)

    if expected.startswith(REFUSED):
        with pytest.raises(CodeChangedError) as refused:
            use(project)
        assert expected.removeprefix(REFUSED) in str(refused.value)
        return
    use(project)

    said = [
        message
        for message in caplog.messages
        if "trained by" in message or "no digest" in message or NEW_RUN in message
    ]
    assert bool(said) == bool(expected), said
    assert expected in " ".join(said)


def test_an_accepted_change_stays_known_when_the_code_before_comes_back(project: Project):
    with pytest.raises(Stopped):
        run_stages(project.config, [StopAfter(8)])
    with project.monkeypatch.context() as patch:
        outputs(dataclasses.replace(project, monkeypatch=patch))
        with pytest.raises(Stopped):
            run_stages(replace(project.config, resume=ResumeConfig(accept_code=True)), [StopAfter(3)])

    with pytest.raises(CodeChangedError, match=r"what differs: models/mlp\.py.*--resume\.accept_code true"):
        run_stages(project.config)
    run_stages(replace(project.config, resume=ResumeConfig(accept_code=True)))

    lineage: dict[str, Any] = json.loads(open_run(project.config).manifest.read_text())["lineage"]
    assert lineage["exact"] is False
    assert len(lineage["code"]) == 3
