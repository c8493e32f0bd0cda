"""Whatever dies of a deployment, alone, after the server had died before, or twice: the run completes with the same bytes.

No event is needed: a server that is started anew has forgotten all that it had heard. UNBROKEN_TEST_DATABASE, the URL of
an empty database, has the server keep its data there.
"""

import random
import time
from collections.abc import Callable, Generator
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

import pytest

from tests.contract import run_stages
from tests.flow.conftest import ROOT
from tests.flow.served import SERVICES, Served, events, processes_of
from tests.flow.test_self_resume import RUNS, attempts
from tests.scorecard import Scorecard, mismatch
from unbroken.config import Config, DataConfig, ModelConfig, TrainingConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

KILLS = 30
SEED = 12


def resting_training(runs: Path) -> Config:
    """Return settings of a training of a minute, which is long enough to die several times."""
    return Config(
        data=DataConfig(source="sample"),
        model=ModelConfig(factory="tests.flow.slow_model:Slow", options={"seconds": 0.05}),
        training=TrainingConfig(epochs=75, batch_size=50),
        runs_folder=str(runs),
    )


def start(served: Served, runs: Path) -> UUID:
    """Start the training by its deployment, and return once it has saved an epoch."""
    run = served.start(RUNS, asdict(resting_training(runs)), env={"PYTHONPATH": str(ROOT)})
    served.eventually(lambda: attempts(runs), "the first epoch")
    return run


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the checkpoint of the training that all runs here do, never disturbed."""
    runs = tmp_path_factory.mktemp("undisturbed")
    return Path(run_stages(resting_training(runs)).path).read_bytes()


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    """Serve a copy of the project for what dies here."""
    served = Served.copy_of(ROOT, tmp_path_factory.mktemp("deployment"))
    try:
        served.deploy("serve")
        yield served
    finally:
        served.close()


def engine_dies(served: Served, run: UUID) -> None:
    served.kill("engine", run)


def supervisor_dies(served: Served, run: UUID) -> None:
    served.kill("supervisor", run)
    served.kill("engine", run)


def worker_dies(served: Served, run: UUID) -> None:
    served.kill("worker")
    served.kill("engine", run)
    served.deploy("serve")


def server_dies(served: Served, run: UUID) -> None:
    served.kill("server")
    served.deploy("serve")


def machine_dies(served: Served, run: UUID) -> None:
    served.kill_machine(run)
    served.deploy("serve")


Death = Callable[[Served, UUID], None]
DEATHS: dict[str, Death] = {
    "engine": engine_dies,
    "supervisor and engine": supervisor_dies,
    "worker and engine": worker_dies,
    "server": server_dies,
    "machine": machine_dies,
}


def epochs(runs: Path) -> int:
    """Return how many epochs of a training were saved, those that were trained twice counted twice."""
    return sum(event["event"] == "checkpoint saved" for event in events(runs))


def wait_for_progress(served: Served, runs: Path, run: UUID) -> None:
    """Return when a training has saved one more epoch than now, or is completed."""
    before = epochs(runs)
    served.eventually(lambda: epochs(runs) > before or served.state(run)["name"] == "Completed", "the next epoch")


@pytest.mark.parametrize("circumstance", ["alone", "after a restart of the server", "twice"])
@pytest.mark.parametrize("death", DEATHS)
def test_a_run_survives(
    deployment: Served, tmp_path: Path, expected: bytes, scorecard: Scorecard, death: str, circumstance: str
):
    runs = tmp_path / "runs"
    run = start(deployment, runs)
    if circumstance == "after a restart of the server":
        server_dies(deployment, run)
        wait_for_progress(deployment, runs, run)

    for _ in range(2 if circumstance == "twice" else 1):
        died = time.monotonic()
        DEATHS[death](deployment, run)
        wait_for_progress(deployment, runs, run)
        scorecard.recovered(death, time.monotonic() - died)

    scorecard.judge("deaths of deployed runs", [outcome(deployment, run, runs, expected, f"{death}, {circumstance}")])


def outcome(served: Served, run: UUID, runs: Path, expected: bytes, case: str) -> str | None:
    """Return how the end of a run differs from that of one that was never disturbed."""
    end = served.wait_for(run, "Completed", "Failed", "GaveUp", "Cancelled")
    if end["name"] != "Completed":
        return f"{case}: {served.states(run)}: {end['message']}"
    (published,) = runs.glob("*/checkpoint.pth")
    return mismatch(case, published.read_bytes() == expected, True)


def test_runs_survive_random_kills_of_random_processes(
    deployment: Served, tmp_path: Path, expected: bytes, scorecard: Scorecard
):
    draw = random.Random(SEED)
    folders = {start(deployment, folder): folder for folder in (tmp_path / "one", tmp_path / "two")}

    for _ in range(KILLS):
        kill_one(deployment, draw, list(folders))
        time.sleep(draw.uniform(0, 6))
        deployment.deploy("serve")

    scorecard.judge(
        "deaths of deployed runs",
        [outcome(deployment, run, folder, expected, folder.name) for run, folder in folders.items()],
    )


def kill_one(served: Served, draw: random.Random, runs: list[UUID]) -> None:
    """Kill a service, or the supervisor or engine of a run, that is alive."""
    of_runs = [("supervisor", run) for run in runs] + [("engine", run) for run in runs]
    alive = [(what, run) for what, run in of_runs if len(processes_of(what, run)) == 1]
    what, run = draw.choice([*alive, *[(service, None) for service in SERVICES]])
    try:
        served.kill(what, run)
    except (ProcessLookupError, ValueError):
        print(f"{what} of {run} ended by itself meanwhile")
