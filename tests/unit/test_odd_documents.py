"""JSON of ours with odd content, under a digest that fits, is answered or refused in one paragraph: never a traceback."""

import copy
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.contract import write_rows
from tests.unit.test_mutated_sources import time_limit
from unbroken import pipeline
from unbroken.cli.main import answer
from unbroken.config import Config, DataConfig, GateConfig, ModelConfig, RetrainConfig, TrainingConfig
from unbroken.errors import UnbrokenError
from unbroken.reports.run import RunReport
from unbroken.run import Run, open_run
from unbroken.serving.prediction import load_predictor
from unbroken.serving.registry import Registry
from unbroken.storage.sealed import seal, unseal

FAST, ALL = 15, 300
VALUES: tuple[Any, ...] = (
    None, True, -1, 0.5, 10**30, float("nan"), float("inf"), "", "a", "\x1b[31m\n", "../../etc", "\0", [], {}, [[]], {"a": 1},
    "9" * 5000,
)  # fmt: skip


@dataclass(frozen=True)
class Project:
    """A champion with its registry and the run that it came from."""

    config: RetrainConfig
    run: Run
    registry: Registry
    rows: Path


def configured(folder: Path) -> RetrainConfig:
    return RetrainConfig(
        model="rows",
        models_folder=str(folder / "models"),
        gate=GateConfig(resamples=100),
        train=Config(
            data=DataConfig(source=str(folder / "in")),
            model=ModelConfig(options={"hidden": [4]}),
            training=TrainingConfig(epochs=1, batch_size=64, learning_rate=0.02),
            runs_folder=str(folder / "runs"),
        ),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_rows(folder / "in" / "2024-01.parquet", "binary", seed=1)
    config = configured(folder)
    pipeline.retrain(config)
    pipeline.train(config.train)
    write_rows(folder / "in" / "2024-02.parquet", "binary", seed=2)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    shutil.copytree(made, folder)
    config, run = configured(folder), next((folder / "runs").iterdir())
    return Project(
        config=config,
        run=Run(key=run.name, folder=str(run), fingerprint="0" * 64),
        registry=Registry(folder / "models" / "rows"),
        rows=folder / "in" / "2024-01.parquet",
    )


def documents(project: Project) -> dict[str, Path]:
    (version,) = (project.registry.folder / "versions").glob("*.pth")
    return {
        "the manifest of a run": next((project.run.path / "manifests").glob("*.json")),
        "the copy of it": project.run.manifest,
        "the code of a run": project.run.code,
        "a finished run": project.run.finished,
        "the settings of a run": project.run.path / "run.json",
        "the pointer": project.registry.folder / "champion.json",
        "the manifest of a version": version.with_suffix(".json"),
        "the profile of a version": version.with_suffix(".profile.json"),
        "the journal": project.run.journal,
        "the audit log": project.registry.folder / "audit.jsonl",
    }


def odd(value: Any, draw: random.Random) -> Any:
    """Return a document with one member at any depth gone, of another type, or nested."""
    value = copy.deepcopy(value)
    holder, key = value, draw.choice(list(value))
    while isinstance(holder[key], dict | list) and holder[key] and draw.random() < 0.8:
        holder, key = (
            holder[key],
            draw.choice(list(holder[key]) if isinstance(holder[key], dict) else range(len(holder[key]))),
        )
    change = draw.choice(("delete", "value", "value", "value", "nest", "longer"))
    if change == "delete":
        del holder[key]
    elif change == "nest":
        holder[key] = [holder[key]] if draw.random() < 0.5 else {"a": holder[key]}
    elif change == "longer" and isinstance(holder[key], list):
        holder[key] = holder[key] * 2
    else:
        holder[key] = draw.choice(VALUES)
    return value


def write_odd(path: Path, draw: random.Random) -> None:
    if path.suffix == ".jsonl":
        lines = path.read_bytes().splitlines()
        index = draw.randrange(len(lines))
        lines[index] = sealed_as_before(lines[index], draw)
        path.write_bytes(b"\n".join(lines) + b"\n")
    else:
        path.write_bytes(sealed_as_before(path.read_bytes(), draw))


def sealed_as_before(content: bytes, draw: random.Random) -> bytes:
    is_sealed = content.startswith(b'{"content_sha256"')
    plain = unseal(content, "", "none") if is_sealed else content
    changed = (
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
        if draw.random() < 0.05
        else json.dumps(odd(json.loads(plain), draw)).encode()
    )
    return seal(changed) if is_sealed and changed.startswith(b"{") and len(changed) > 2 else changed


def report(project: Project) -> None:
    read = RunReport.read(project.run)
    read.markdown(project.run)
    read.table()


def predict(path: Path, rows: Path) -> None:
    load_predictor(path).predict(pq.read_table(rows))


def questions(project: Project) -> list[Callable[[], object]]:
    run, models = str(project.run.path), str(project.registry.folder.parent)
    commands = [["runs", name, run] for name in ("list", "verify")] + [["runs", "diff", run, run]]
    commands += [["registry", "--models_folder", models, name, "rows"] for name in ("history", "rollback")]
    return [
        *(
            lambda command=command: answer(command) in {0, 1, 2} or pytest.fail("another exit code")
            for command in commands
        ),
        lambda: report(project),
        lambda: predict(project.run.published, project.rows),
        lambda: predict(project.registry.folder, project.rows),
        lambda: pipeline.train(project.config.train),
        lambda: pipeline.retrain(project.config),
    ]


def require_paragraph(message: str) -> None:
    assert message.strip()
    assert "\n" not in message
    assert len(message) < 3000


@pytest.mark.parametrize(
    "seed", [*range(FAST), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(FAST, ALL))]
)
def test_an_odd_document_is_answered_or_refused_in_one_paragraph(
    seed: int, project: Project, capsys: pytest.CaptureFixture[str]
):
    draw = random.Random(seed)
    names = documents(project)
    write_odd(names[list(names)[seed % len(names)]], draw)

    asked = questions(project)
    with time_limit():
        for question in asked if seed % 5 == 0 else asked[:-2]:  # those that train take longest
            try:
                question()
            except UnbrokenError as error:
                require_paragraph(str(error))

    assert "Traceback" not in capsys.readouterr().err


def test_all_is_well_with_whole_documents(project: Project):
    for question in questions(project):
        question()
    assert open_run(project.config.train).published.exists()
