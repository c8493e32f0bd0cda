"""Whatever dies of a deployment, alone, after the server had died before, or twice: the run completes with the same bytes.

No event is needed: a server that is started anew has forgotten all that it had heard. UNBROKEN_TEST_DATABASE, the URL of
an empty database, has the server keep its data there.
"""

import random
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

import pytest

from tests.contract import run_stages
from tests.flow.conftest import ROOT
from tests.flow.served import SERVICES, Served, events, kill, processes_of
from tests.flow.slow_model import RESTING
from tests.flow.test_self_resume import RUNS
from tests.scorecard import Scorecard, mismatch
from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, TrainingConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

KILLS = 30
SEED = 12


def training(runs: Path) -> Config:
    """Return settings of a training that lasts five minutes at most, and some seconds once it is let go."""
    return Config(
        data=DataConfig(source="sample"),
        model=ModelConfig(factory="tests.flow.slow_model:Slow", options={"hidden": [8], "dropout": 0.2}),
        training=TrainingConfig(epochs=150, batch_size=100),
        checkpoint=CheckpointConfig(every_steps=2),  # so that no step is killed twice by chance
        runs_folder=str(runs),
    )


@dataclass(frozen=True)
class Resting:
    """A training that waits, by its flow run and the folder of its runs."""

    run: UUID
    runs: Path

    @classmethod
    def start(cls, served: Served, runs: Path) -> "Resting":
        """Start the training by its deployment, and return once it has saved a checkpoint."""
        runs.mkdir(parents=True)
        (runs / "resting").touch()
        environment = {"PYTHONPATH": str(ROOT), RESTING: str(runs / "resting")}
        resting = cls(served.start(RUNS, asdict(training(runs)), env=environment), runs)
        resting.wait_for_progress(served)
        return resting

    def saves(self) -> int:
        """Return how many checkpoints were saved."""
        return sum(event["event"] == "checkpoint saved" for event in events(self.runs))

    def wait_for_progress(self, served: Served) -> None:
        """Return when one more checkpoint is saved than now."""
        before = self.saves()
        served.eventually(lambda: self.saves() > before, "the next checkpoint")

    def outcome(self, served: Served, expected: bytes, case: str) -> str | None:
        """Let the training end, and return how it differs from one that was never disturbed."""
        (self.runs / "resting").unlink()
        end = served.wait_for(self.run, "Completed", "Failed", "GaveUp", "Cancelled")
        if end["name"] != "Completed":
            return f"{case}: {served.states(self.run)}: {end['message']}"
        (published,) = self.runs.glob("*/checkpoint.pth")
        return mismatch(case, published.read_bytes() == expected, True)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the checkpoint of the training that all runs here do, never disturbed."""
    runs = tmp_path_factory.mktemp("undisturbed")
    return Path(run_stages(training(runs)).path).read_bytes()


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
    served.kill_processes(run)


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


@pytest.mark.parametrize("circumstance", ["alone", "after a restart of the server", "twice"])
@pytest.mark.parametrize("death", DEATHS)
def test_a_run_survives(
    deployment: Served, tmp_path: Path, expected: bytes, scorecard: Scorecard, death: str, circumstance: str
):
    resting = Resting.start(deployment, tmp_path / "runs")
    if circumstance == "after a restart of the server":
        server_dies(deployment, resting.run)
        resting.wait_for_progress(deployment)

    for _ in range(2 if circumstance == "twice" else 1):
        died = time.monotonic()
        DEATHS[death](deployment, resting.run)
        resting.wait_for_progress(deployment)
        scorecard.recovered(death, time.monotonic() - died)

    outcome = resting.outcome(deployment, expected, f"{death}, {circumstance}")
    scorecard.judge("deaths of deployed runs", [outcome])


def test_runs_survive_random_kills_of_random_processes(
    deployment: Served, tmp_path: Path, expected: bytes, scorecard: Scorecard
):
    draw = random.Random(SEED)
    trainings = [Resting.start(deployment, tmp_path / name) for name in ("one", "two")]

    for _ in range(KILLS):
        kill_one(deployment, draw, [resting.run for resting in trainings])
        time.sleep(draw.uniform(0, 6))
        deployment.deploy("serve")

    outcomes = [resting.outcome(deployment, expected, resting.runs.name) for resting in trainings]
    scorecard.judge("deaths of deployed runs", outcomes)


def kill_one(served: Served, draw: random.Random, runs: list[UUID]) -> None:
    """Kill a service, or the supervisor or engine of a run, that is alive."""
    of_runs = [processes_of(what, run) for what in ("supervisor", "engine") for run in runs]
    of_services = [[served.process(service)] for service in SERVICES]
    kill(draw.choice([numbers for numbers in (*of_runs, *of_services) if numbers]))
