"""An MLflow server is told of each run once, also of one that was killed; needs `.venv-mlflow`, which `make slow` makes."""

import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import mlflow
import pandas as pd
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

import unbroken
from flows.retrain import retrain
from flows.train import train
from tests.contract import write_rows
from tests.flow.conftest import ROOT, Terminal
from tests.flow.test_terminal import wait_for_epoch
from tests.server import free_port, wait_until_served
from unbroken.config import Config, DataConfig, GateConfig, RetrainConfig, TrackingConfig, TrainingConfig
from unbroken.serving.registry import Registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SERVER = ROOT / ".venv-mlflow" / "bin" / "mlflow"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """Start a server with an empty database and return its URL."""
    folder = tmp_path_factory.mktemp("mlflow")
    port = str(free_port())
    places = [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
    command = [str(SERVER), "server", "--host", "127.0.0.1", "--port", port, "--workers", "1", *places]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_served(f"{url}/health", process, folder / "log")
        yield url
    finally:
        process.terminate()
        process.wait(30)


def the_run(client: MlflowClient, experiment: str) -> Run:
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    (run,) = client.search_runs([found.experiment_id])
    return run


def test_a_killed_run_is_told_of_once_with_each_point_once(
    server: str, terminal: Terminal, environment: dict[str, str], tmp_path: Path
):
    settings = ("--data.source", "sample", "--training.batch_size", "1", "--training.epochs", "12")
    tracked = (*settings, "--tracking.uri", server, "--tracking.experiment", "killed")
    command = [sys.executable, "-m", "flows.train", "--runs_folder", str(tmp_path / "runs"), *tracked]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as process:
        wait_for_epoch(2, tmp_path / "runs", process)
        process.send_signal(signal.SIGKILL)

    for _ in range(2):
        done = terminal(*tracked)
        assert done.returncode == 0, done.stderr
        next(tmp_path.glob("runs/*/finished.json")).unlink()  # else the next would tell nothing

    client = MlflowClient(tracking_uri=server)
    run = the_run(client, "killed")
    assert run.info.status == "FINISHED"
    assert run.data.params["training.batch_size"] == "1"
    names = ["learning_rate", "loss", "test_accuracy", "test_auroc", "test_f1", "test_loss"]
    assert sorted(run.data.metrics) == names
    for name in names:
        assert [point.step for point in client.get_metric_history(run.info.run_id, name)] == [*range(1, 13)]
    artifacts = [artifact.path for artifact in client.list_artifacts(run.info.run_id)]
    assert sorted(path for path in artifacts if path.startswith("checkpoint")) == ["checkpoint.json", "checkpoint.pth"]
    assert len(client.search_logged_models([run.info.experiment_id])) == 1


@pytest.mark.usefixtures("prefect_server")
def test_longer_training_adds_its_points_to_the_same_run(server: str, tmp_path: Path):
    def trained(epochs: int) -> None:
        tracking = TrackingConfig(uri=server, experiment="longer")
        training = TrainingConfig(epochs=epochs)
        train(Config(data=DataConfig(source="sample"), training=training, tracking=tracking, runs_folder=str(tmp_path)))

    trained(2)
    trained(4)

    client = MlflowClient(tracking_uri=server)
    run = the_run(client, "longer")
    assert [point.step for point in client.get_metric_history(run.info.run_id, "test_auroc")] == [1, 2, 3, 4]


@pytest.mark.usefixtures("prefect_server")
def test_the_alias_follows_the_champion_and_its_model_predicts_the_same_values(server: str, tmp_path: Path):
    config = RetrainConfig(
        model="toy",
        models_folder=str(tmp_path / "models"),
        gate=GateConfig(resamples=100),
        train=Config(
            data=DataConfig(source=str(tmp_path / "in")),
            training=TrainingConfig(epochs=2),
            tracking=TrackingConfig(uri=server, experiment="toy"),
            runs_folder=str(tmp_path / "runs"),
        ),
    )
    rows = pq.read_table(write_rows(tmp_path / "in" / "2024-01.parquet", "binary", rows=800)).drop_columns(["label"])
    registry, client = Registry(tmp_path / "models" / "toy"), MlflowClient(tracking_uri=server)
    first = retrain(config)
    assert first.champion == champion_of(client)

    mlflow.set_tracking_uri(server)
    served = mlflow.pyfunc.load_model("models:/toy@champion")
    expected = unbroken.load(str(registry.folder)).predict(rows).to_pandas()
    pd.testing.assert_frame_equal(pd.DataFrame(served.predict(rows.to_pandas())), expected, check_exact=True)

    write_rows(tmp_path / "in" / "2024-02.parquet", "binary", rows=800, seed=1)
    second = retrain(config)
    if not second.verdict.promote:
        registry.promote(second.challenger.digest)
    assert told(registry, server) == "toy: the champion is version 2\n"
    assert champion_of(client) == second.challenger.digest
    registry.rollback()
    assert told(registry, server) == "toy: the champion is version 1\n"
    assert champion_of(client) == first.champion


def champion_of(client: MlflowClient) -> str:
    return client.get_model_version_by_alias("toy", "champion").tags["unbroken.sha256"]


def told(registry: Registry, server: str) -> str:
    command = [sys.executable, "-m", "unbroken.tracking", str(registry.folder), server, "--experiment", "toy"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
