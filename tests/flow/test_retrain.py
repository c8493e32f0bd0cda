"""Retraining and scoring as flows, on a real Prefect server."""

import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.sorting import FlowRunSort

import unbroken
from flows.predict import predict
from flows.retrain import retrain
from tests.contract import write_rows
from tests.flow.conftest import ROOT
from tests.flow.test_terminal import wait_for_epoch
from unbroken.config import (
    Config,
    DataConfig,
    GateConfig,
    ModelConfig,
    PredictConfig,
    RetrainConfig,
    StartConfig,
    TrainingConfig,
)
from unbroken.errors import BlockedError, DataError
from unbroken.serving.registry import Registry
from unbroken.storage import atomic

pytestmark = pytest.mark.usefixtures("prefect_server")


def config_for(folder: Path, *, epochs: int = 4, **gate: float) -> RetrainConfig:
    return RetrainConfig(
        model="rows",
        models_folder=str(folder / "models"),
        gate=GateConfig(resamples=100, **gate),  # ty: ignore[invalid-argument-type]
        train=Config(
            data=DataConfig(source=str(folder / "in")),
            model=ModelConfig(options={"hidden": [8]}),
            training=TrainingConfig(epochs=epochs, batch_size=32, learning_rate=0.02),
            runs_folder=str(folder / "runs"),
        ),
    )


def arrives(folder: Path, name: str, seed: int) -> Path:
    return Path(write_rows(folder / "in" / f"{name}.parquet", "binary", rows=800, seed=seed))


def artifacts() -> list[Any]:
    with get_client(sync_client=True) as client:
        return client.read_artifacts()


def events(folder: Path) -> list[str]:
    return [event["event"] for event in Registry(folder / "models" / "rows").history()]


def test_months_are_promoted_refused_skipped_blocked_and_rolled_back(tmp_path: Path):
    config = config_for(tmp_path)
    registry = Registry(tmp_path / "models" / "rows")

    arrives(tmp_path, "2024-01", 1)
    first = retrain(config)
    assert first.verdict.promote
    assert first.champion == first.challenger.digest
    assert first.verdict.champion == 0.5

    runs = sorted((tmp_path / "runs").iterdir())
    again = retrain(config, return_state=True)  # ty: ignore[no-matching-overload]
    assert (again.name, again.message) == ("Skipped", "nothing new")
    assert again.is_completed()
    assert sorted((tmp_path / "runs").iterdir()) == runs

    arrives(tmp_path, "2024-02", 2)
    refused = retrain(config_for(tmp_path, margin=0.4))
    assert not refused.verdict.promote
    assert registry.champion() == first.challenger
    assert registry.version(refused.challenger.digest) == refused.challenger

    broken = arrives(tmp_path, "2024-03", 3)
    whole = broken.read_bytes()
    pq.write_table(pq.read_table(broken).drop_columns(["number_0"]), broken)
    runs = sorted((tmp_path / "runs").iterdir())
    with pytest.raises(DataError, match=r"2024-03\.parquet: no column number_0"):
        retrain(config)
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"2024-03\.parquet: cannot be read"):
        retrain(config)
    assert sorted((tmp_path / "runs").iterdir()) == runs
    assert registry.champion() == first.challenger

    broken.write_bytes(whole)
    before = Path(first.challenger.path).read_bytes()
    registry.promote(refused.challenger.digest)
    third = retrain(config)
    assert third.verdict.champion > 0.5
    registry.rollback()
    if third.verdict.promote:
        registry.rollback()
    champion = registry.champion()
    assert champion is not None
    assert Path(champion.path).read_bytes() == before
    expected = ["promoted", "kept the champion", "blocked", "blocked", "promoted"]
    assert events(tmp_path)[:5] == expected


def test_a_challenger_starts_from_the_champion_and_mixes_older_rows_in(tmp_path: Path):
    config = config_for(tmp_path)
    arrives(tmp_path, "2024-01", 1)
    first = retrain(config)
    arrives(tmp_path, "2024-02", 2)

    second = retrain(config)

    keys = {f"decision-{path.name}" for path in (tmp_path / "models" / "rows" / "cycles").iterdir()}
    reports = [artifact.data for artifact in artifacts() if artifact.key in keys]
    (after,) = [text for text in reports if second.challenger.digest in text]
    assert f"| champion before | `{first.challenger.digest}` |" in after
    assert [f"| {column} | 0." in after for column in ("number_0", "colour")] == [True, True]
    manifest = Path(second.challenger.path).with_suffix(".json").read_text()
    assert f'"warm_from_sha256": "{first.challenger.digest}"' in manifest
    replayed = next((tmp_path / "models" / "rows" / "cycles").glob("*/train/older.parquet"))
    assert pq.read_metadata(replayed).num_rows == 320


@pytest.mark.slow
def test_a_refitted_encoder_that_cannot_be_folded_into_the_model_means_a_start_from_scratch(tmp_path: Path):
    config = config_for(tmp_path)
    own = replace(
        config.train,
        model=ModelConfig(factory="tests.unit.own_model:NoisyNet", options={"width": 8}),
        start=StartConfig(scaler="refit"),
    )
    config = replace(config, train=own)
    arrives(tmp_path, "2024-01", 1)
    retrain(config)
    arrives(tmp_path, "2024-02", 2)

    second = retrain(config)

    assert '"warm_from_sha256": null' in Path(second.challenger.path).with_suffix(".json").read_text()


@pytest.mark.slow
def test_a_retraining_killed_while_it_trains_goes_on_and_decides_the_same(tmp_path: Path, environment: dict[str, str]):
    arrives(tmp_path, "2024-01", 1)
    undisturbed = retrain(config_for(tmp_path, epochs=200))
    registry = Registry(tmp_path / "again" / "rows")
    arguments = [
        *("--model", "rows", "--models_folder", str(tmp_path / "again"), "--gate.resamples", "100"),
        *("--train.data.source", str(tmp_path / "in"), "--train.runs_folder", str(tmp_path / "again-runs")),
        *("--train.model.options", '{"hidden": [8]}', "--train.training.epochs", "200"),
        *("--train.training.batch_size", "32", "--train.training.learning_rate", "0.02"),
        *("--train.split.kind", "auto", "--train.split.validation_fraction", "auto"),
        *("--train.preprocess.min_category_count", "auto"),
    ]
    command = [sys.executable, "-m", "flows.retrain", *arguments]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as process:
        wait_for_epoch(3, tmp_path / "again-runs", process)
        process.send_signal(signal.SIGKILL)
    assert registry.champion() is None

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)

    assert done.returncode == 0, done.stderr
    assert "prepare_data" in done.stdout
    assert "(cached)" in done.stdout
    assert "resumed from epoch" in done.stdout
    champion = registry.champion()
    assert champion is not None
    assert Path(champion.path).read_bytes() == Path(undisturbed.challenger.path).read_bytes()
    again = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert again.stdout.strip().endswith("Skipped: nothing new")
    assert [event["event"] for event in registry.history()] == ["promoted"]


@pytest.mark.slow
def test_a_promoted_model_in_place_of_that_of_the_settings_scores_what_its_round_brought(tmp_path: Path):
    source = arrives(tmp_path, "2024-01", 1)
    retrain(config_for(tmp_path))
    model, folder = tmp_path / "models" / "rows", tmp_path / "predictions"
    settings = PredictConfig(model="models/another", keep=("colour",), predictions_folder=str(folder))

    first, again = predict(settings, str(model)), predict(settings, str(model))

    assert first == again
    assert Path(first.path).parent == folder / "rows" / first.model[:16]
    expected = unbroken.load(str(model)).predict(pq.read_table(source))
    assert pq.read_table(first.path).drop_columns(["colour"]).equals(expected)


def test_predict_scores_with_the_champion_of_the_moment(tmp_path: Path):
    source = arrives(tmp_path, "2024-01", 1)
    retrain(config_for(tmp_path))
    model = tmp_path / "models" / "rows"
    target = tmp_path / "out" / "scores.parquet"

    done = predict(PredictConfig(model=str(model), source=str(source), target=str(target), keep=("colour",)))

    champion = Registry(model).champion()
    assert champion is not None
    assert (done.model, done.rows, done.digest) == (champion.digest, 800, atomic.digest(target))
    expected = unbroken.load(str(model)).predict(pq.read_table(source))
    assert pq.read_table(target).drop_columns(["colour"]).equals(expected)


def test_a_run_is_visible_by_what_came_of_it_on_the_server(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    arrives(tmp_path, "2024-01", 1)
    retrain(config_for(tmp_path))
    retrain(config_for(tmp_path))
    arrives(tmp_path, "2024-02", 2)
    kept = retrain(config_for(tmp_path, margin=0.4))
    arrives(tmp_path, "2024-03", 3).write_bytes(b"not Parquet at all")
    with pytest.raises(DataError), caplog.at_level(logging.DEBUG):
        retrain(config_for(tmp_path))

    with get_client(sync_client=True) as client:
        named = FlowFilter(name=FlowFilterName(any_=["retrain"]))
        newest = client.read_flow_runs(flow_filter=named, sort=FlowRunSort.START_TIME_DESC, limit=4)

    states = [(run.state_name, run.state_type and run.state_type.value) for run in newest]
    completed = [(name, "COMPLETED") for name in ("Kept", "Skipped", "Promoted")]
    assert states == [("Blocked", "FAILED"), *completed]
    messages = [(run.state and run.state.message) or "" for run in newest]
    assert "2024-03.parquet: cannot be read" in messages[0]
    assert messages[1] == str(kept)
    failures = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert failures
    assert [record for record in failures if record.exc_info] == []
    assert "Traceback" not in caplog.text


def test_a_blocked_round_leaves_a_report_of_the_files_the_rule_and_what_was_measured(tmp_path: Path):
    config = replace(config_for(tmp_path), model="measured")
    arrives(tmp_path, "2024-01", 1)
    first = retrain(config)
    path = arrives(tmp_path, "2024-02", 2)
    rows = pq.read_table(path)
    index = rows.column_names.index("number_0")
    pq.write_table(rows.set_column(index, "number_0", pa.nulls(len(rows), pa.float64())), path)

    with pytest.raises(BlockedError, match=r"number_0: share missing rose by 1\.000, expected at most 0\.5"):
        retrain(config)

    (report,) = [artifact.data for artifact in artifacts() if artifact.key == "failed-measured"]
    assert report.startswith("# Blocked\n")
    assert "| new files | `2024-02.parquet` |" in report
    assert "no limit of `checks` that blocks is exceeded" in report
    assert f"| champion, as before | `{first.champion}` |" in report
    (line,) = [line for line in report.splitlines() if line.startswith("| number_0 |")]
    assert "0.0% to 100.0%" in line
    assert "share missing rose by (block)" in line


def test_a_mistake_in_the_settings_fails_the_run_with_its_paragraph_and_leaves_a_report(tmp_path: Path):
    config = replace(
        config_for(tmp_path), model="mistaken", train=replace(config_for(tmp_path).train, data=DataConfig())
    )

    state = retrain(config, return_state=True)  # ty: ignore[no-matching-overload]

    expected = "train.data.source: found nothing, expected a path, a glob or a URL of Parquet or CSV files, or `sample`"
    assert (state.name, state.message) == ("Failed", expected)
    (report,) = [artifact.data for artifact in artifacts() if artifact.key == "failed-mistaken"]
    assert report.startswith("# Failed\n")


@pytest.mark.slow
def test_the_command_line_says_what_blocked(tmp_path: Path, environment: dict[str, str]):
    broken = arrives(tmp_path, "2024-01", 1)
    broken.write_bytes(b"not Parquet at all")
    command = [sys.executable, "-m", "flows.retrain", "--model", "rows", "--models_folder", str(tmp_path / "models")]

    done = subprocess.run(
        [*command, "--train.data.source", str(broken.parent)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 2
    assert "2024-01.parquet: cannot be read" in " ".join(done.stderr.split())
    assert events(tmp_path) == ["blocked"]
