"""A deployed run resumes by itself, under its own id, whichever process is killed; no person does anything in between."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.flow.conftest import ROOT
from tests.flow.served import Served, engine_runs, events
from unbroken.deployment.healing.rules import Times

pytestmark = pytest.mark.timeout(600)

FEW, EPOCHS, LONG = 50, 200, 800
"""On a fast machine they take 3, 10 and 40 seconds."""
RUNS = "train/by-hand"


def slow_training(runs: Path, epochs: int = EPOCHS) -> dict[str, Any]:
    """Return settings of a training that takes long enough to be killed several times."""
    return {"data": {"source": "sample"}, "training": {"epochs": epochs, "batch_size": 1}, "runs_folder": str(runs)}


def undisturbed(runs: Path, epochs: int = EPOCHS) -> bytes:
    """Return the checkpoint of the same training, run here from start to end."""
    settings = ["--data.source", "sample", "--training.epochs", str(epochs), "--training.batch_size", "1"]
    command = [sys.executable, "-m", "unbroken", "train", "--no-orchestrator", "--runs_folder", str(runs), *settings]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    (published,) = runs.glob("*/checkpoint.pth")
    return published.read_bytes()


def attempts(runs: Path) -> int:
    """Count the attempts of a training that came as far as its first saved epoch."""
    starts = [place for place, event in enumerate(events(runs)) if event["event"] in ("started", "resumed")]
    saved = [place for place, event in enumerate(events(runs)) if event["event"] == "checkpoint saved"]
    return sum(any(saved_at > start for saved_at in saved) for start in starts)


def wait_for_attempt(served: Served, number: int, runs: Path) -> None:
    """Return when an attempt of a training has saved an epoch, with many still to go."""
    served.eventually(lambda: attempts(runs) >= number, f"attempt {number}")
    assert events(runs)[-1]["epoch"] < EPOCHS - 2


def test_a_run_whose_engine_is_killed_completes_under_its_id_with_the_same_bytes(served: Served, tmp_path: Path):
    runs = tmp_path / "runs"
    run = served.start(RUNS, slow_training(runs, FEW))

    served.eventually(lambda: attempts(runs) >= 1, "a checkpoint")
    served.kill("engine", run)

    assert served.wait_for(run, "Completed", "Failed", "GaveUp")["name"] == "Completed"
    assert served.states(run).count("AwaitingRetry") == 1
    (published,) = runs.glob("*/checkpoint.pth")
    assert published.read_bytes() == undisturbed(tmp_path / "undisturbed", FEW)


@pytest.mark.slow
def test_a_run_whose_processes_are_killed_one_after_another_completes_under_its_id_with_the_same_bytes(
    served: Served, tmp_path: Path
):
    runs = tmp_path / "runs"
    run = served.start(RUNS, slow_training(runs))

    wait_for_attempt(served, 1, runs)
    served.kill("engine", run)
    wait_for_attempt(served, 2, runs)
    served.kill("supervisor", run)
    wait_for_attempt(served, 3, runs)
    served.kill("worker")
    served.kill("engine", run)
    assert "worker   started" in served.deploy("serve")
    wait_for_attempt(served, 4, runs)
    served.kill("server")
    assert "server   started" in served.deploy("serve")

    assert served.wait_for(run, "Completed", "Failed", "GaveUp")["name"] == "Completed"
    assert served.states(run).count("AwaitingRetry") >= 3
    (published,) = runs.glob("*/checkpoint.pth")
    assert published.read_bytes() == undisturbed(tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_run_killed_more_often_than_allowed_ends_crashed_and_says_so(served: Served, tmp_path: Path):
    runs = tmp_path / "runs"
    run = served.start(RUNS, slow_training(runs), env={"UNBROKEN_RESTARTS": "1"})
    for attempt in (1, 2):
        wait_for_attempt(served, attempt, runs)
        served.kill("engine", run)

    end = served.wait_for(run, "GaveUp", "Completed")

    assert end["type"] == "CRASHED"
    assert "crashed 2 times, which is more than the 1 restarts that UNBROKEN_RESTARTS allows" in end["message"]
    assert "SIGKILL" in end["message"]


@pytest.mark.slow
def test_a_cancelled_run_stops_with_a_checkpoint_of_its_present_step_and_stays_cancelled(
    served: Served, tmp_path: Path
):
    runs = tmp_path / "runs"
    run = served.start(RUNS, slow_training(runs))
    wait_for_attempt(served, 1, runs)

    served.cancel(run)
    served.wait_for(run, "Cancelled", "Completed")

    assert served.states(run)[-2:] == ["Cancelling", "Cancelled"]
    saved = events(runs)[-1]
    assert saved["event"] == "checkpoint saved"
    assert saved["step"] % 800 or saved["epoch"] < EPOCHS


@pytest.mark.slow
def test_a_run_in_training_when_all_is_stopped_saves_and_goes_on_when_it_is_served_again(
    served: Served, tmp_path: Path
):
    runs = tmp_path / "runs"
    run = served.start(RUNS, slow_training(runs, LONG))
    wait_for_attempt(served, 1, runs)

    assert "worker   stopped" in served.deploy("stop")
    served.deploy("serve")
    wait_for_attempt(served, 2, runs)

    told = events(runs)
    place = next(place for place, event in enumerate(told) if event["event"] == "resumed")
    saved, resumed = told[place - 1 : place + 1]
    assert (resumed["epoch"], resumed["step"]) == (saved["epoch"], saved["step"])
    served.cancel(run)
    served.wait_for(run, "Cancelled")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_whose_machine_died_is_found_by_its_silence_and_goes_on_elsewhere(served: Served, tmp_path: Path):
    runs = tmp_path / "runs"
    run = served.start(RUNS, slow_training(runs))
    wait_for_attempt(served, 1, runs)

    served.kill("worker")
    served.kill_processes(run)
    served.deploy("serve")

    wait_for_attempt(served, 2, runs)
    names = served.states(run)
    assert names[names.index("Running") : names.index("AwaitingRetry") + 1] == ["Running", "Lost", "AwaitingRetry"]
    assert served.eventually(
        lambda: [line for line in served.logs(run) if "no sign of life for 20 s" in line], "the log"
    )
    assert served.wait_for(run, "Completed", "GaveUp")["name"] == "Completed"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_whose_worker_died_while_submitting_it_starts_anew(served: Served, tmp_path: Path):
    served.kill("worker")
    run = served.start(RUNS, slow_training(tmp_path / "runs", epochs=2))
    served.submitting(run)
    served.deploy("serve")

    assert served.wait_for(run, "Completed", "GaveUp")["name"] == "Completed"
    assert served.states(run)[:4] == ["Scheduled", "Submitting", "Lost", "AwaitingRetry"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_suspended_run_stays_so_until_a_person_resumes_it(served: Served, tmp_path: Path):
    runs = tmp_path / "runs"
    run = served.start(RUNS, slow_training(runs, LONG))
    wait_for_attempt(served, 1, runs)

    served.suspend(run)
    time.sleep(20)  # heartbeats go on until the stage ends, and their end must not be taken for a death
    assert engine_runs(run)
    served.eventually(lambda: not engine_runs(run), "the end of the engine")
    time.sleep(2 * Times.of(served.environment).silence)

    assert served.state(run)["name"] == "Suspended"
    served.resume(run)
    assert served.wait_for(run, "Completed", "GaveUp")["name"] == "Completed"
