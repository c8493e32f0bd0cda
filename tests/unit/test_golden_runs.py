"""Run folders that released versions left behind are verified, resumed to the same bytes, and predicted from."""

import multiprocessing
import shutil
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.contract import run_stages
from unbroken.checkpoints.inspection import verify_run
from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, ResumeConfig, TrainingConfig
from unbroken.errors import CodeChangedError
from unbroken.run import open_run
from unbroken.serving.prediction import load_predictor
from unbroken.storage import atomic
from unbroken.storage.journal import Journal

GOLDEN = Path(__file__).parents[1] / "golden"
SHA256 = {"0.1.0": "85c92ec32078c11e2f13ac83858ef3bdf9db8d45f9a0d4b5f37e23fb386468e3"}
"""Of the published checkpoint that each version gave for the settings below."""
INSTRUCTIONS = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}
"""With which torch and MKL give the same bits on every x86 processor; the runs were recorded with them."""

pytestmark = pytest.mark.parametrize("version", SHA256)

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def portably() -> Generator[Call]:
    """Return what calls a function in a process that keeps to INSTRUCTIONS, which are read when torch is imported."""
    torch.ones(64, 64).mm(torch.ones(64, 64))  # this process chooses its own instructions before, and keeps them
    with pytest.MonkeyPatch.context() as environment:
        for name, value in INSTRUCTIONS.items():
            environment.setenv(name, value)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            yield lambda function, *arguments: process.submit(function, *arguments).result()


def predictions(checkpoint: Path | str, rows: pa.Table) -> pa.Table:
    """Return what a published checkpoint says of rows."""
    return load_predictor(checkpoint).predict(rows)


def golden(version: str, kind: str, folder: Path) -> Config:
    """Copy the run folders of a version, and return the settings that made them."""
    shutil.copytree(GOLDEN / version / kind, folder / "runs")
    return Config(
        data=DataConfig(source="sample"),
        model=ModelConfig(options={"hidden": [8], "dropout": 0.2}),
        training=TrainingConfig(epochs=4, batch_size=64),
        checkpoint=CheckpointConfig(every_steps=5, every_seconds=None),
        runs_folder=str(folder / "runs"),
    )


def accepting(config: Config) -> Config:
    """Return the settings with which other code goes on."""
    return replace(config, resume=ResumeConfig(accept_code=True))


def test_a_stopped_run_is_resumed_to_the_bytes_of_the_version_that_began_it(
    version: str, tmp_path: Path, portably: Call
):
    config = golden(version, "stopped", tmp_path)

    with pytest.raises(CodeChangedError, match="carries no digest of the code"):
        portably(run_stages, config)
    resumed = portably(run_stages, accepting(config))

    events = Journal(open_run(config).journal).events()
    assert [(event["epoch"], event["step"]) for event in events if event["event"] == "resumed"] == [(2, 30)]
    assert resumed.digest == atomic.digest(Path(resumed.path)) == SHA256[version]


def test_a_finished_run_trains_no_more_and_gives_its_bytes(version: str, tmp_path: Path, portably: Call):
    config = golden(version, "finished", tmp_path)
    events = Journal(open_run(config).journal).events()

    assert portably(run_stages, config).digest == SHA256[version]
    assert Journal(open_run(config).journal).events() == events


@pytest.mark.parametrize("kind", ["finished", "stopped"])
def test_every_file_is_verified_as_whole(version: str, kind: str, tmp_path: Path):
    run = open_run(golden(version, kind, tmp_path))

    judged = list(verify_run(run.path))

    assert {status.path for status in judged} >= {*run.checkpoints.glob("*.pth"), *run.path.glob("checkpoint.*")}
    assert [status.complaint for status in judged if status.complaint] == []


def test_a_published_checkpoint_predicts_as_the_one_that_is_trained_anew(version: str, tmp_path: Path, portably: Call):
    kept = open_run(golden(version, "finished", tmp_path / "kept"))
    anew = portably(run_stages, accepting(golden(version, "stopped", tmp_path / "anew")))
    rows = pq.read_table(Path(anew.path).parent / "data" / "sample.parquet")

    assert portably(predictions, kept.published, rows).equals(portably(predictions, anew.path, rows))
