"""`stop` keeps its word: runs save and wait, nothing is left, nothing counts as a crash, and `serve` goes on with the bytes."""

import os
import signal
from pathlib import Path
from uuid import UUID

import pytest

from tests.flow.served import Served, events, processes_of
from tests.flow.test_self_resume import RUNS, slow_training, undisturbed, wait_for_attempt
from unbroken.deployment.processes import MARK

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def processes_left(served: Served) -> list[str]:
    """Return the command lines of all processes that a project's services and runs have left."""
    marks = f"{MARK}={served.folder}".encode(), f"PREFECT_HOME={served.folder}".encode()
    lines = []
    for process in Path("/proc").iterdir():
        try:
            if any(mark in (process / "environ").read_bytes() for mark in marks):
                lines.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # no process, or one that ended meanwhile
            continue
    return lines


def is_paused(served: Served) -> bool:
    return served.ask("GET", f"/work_pools/{served.project}")["is_paused"]


def finish(served: Served, run: UUID) -> None:
    """Wait for the end of a run that was never disturbed by a crash."""
    assert served.wait_for(run, "Completed", "Failed", "GaveUp")["name"] == "Completed"
    assert "Crashed" not in served.states(run)


def test_runs_in_training_save_and_go_on_with_the_next_serve_as_if_nothing_had_been(served: Served, tmp_path: Path):
    runs = tmp_path / "runs"
    run = served.start(RUNS, slow_training(runs))
    wait_for_attempt(served, 1, runs)
    starting = served.start(RUNS, slow_training(tmp_path / "others", epochs=2))
    served.wait_for(starting, "Pending", "Submitting", "Running")

    printed = served.deploy("stop")

    assert "worker   stopped" in printed
    assert "server   stopped" in printed
    assert "killed" not in printed
    assert processes_left(served) == []
    saved = events(runs)[-1]
    assert (saved["event"], saved["step"] > 0) == ("checkpoint saved", True), "not at its present step"
    served.deploy("serve")
    assert not is_paused(served)
    finish(served, run)
    finish(served, starting)
    (published,) = runs.glob("*/checkpoint.pth")
    assert published.read_bytes() == undisturbed(tmp_path / "undisturbed")


def test_a_pause_by_a_person_stays(served: Served):
    served.ask("PATCH", f"/work_pools/{served.project}", {"is_paused": True})
    served.deploy("stop")
    served.deploy("serve")

    assert is_paused(served)
    served.ask("PATCH", f"/work_pools/{served.project}", {"is_paused": False})


def test_a_run_that_does_not_end_in_time_is_killed_by_name_and_is_no_crash_either(served: Served, tmp_path: Path):
    runs = tmp_path / "runs"
    run = served.start(RUNS, slow_training(runs))
    wait_for_attempt(served, 1, runs)
    for supervisor in processes_of("supervisor", run):
        os.kill(supervisor, signal.SIGSTOP)  # as one that hangs

    printed = served.deploy("stop")

    assert f"run      {run}: did not end in time and was killed" in printed
    assert processes_left(served) == []
    served.deploy("serve")
    finish(served, run)


def test_without_a_server_the_engines_themselves_are_asked_to_save(served: Served, tmp_path: Path):
    runs = tmp_path / "runs"
    run = served.start(RUNS, slow_training(runs))
    wait_for_attempt(served, 1, runs)
    served.kill("server")

    printed = served.deploy("stop")

    assert "server   did not run" in printed
    assert processes_left(served) == []
    served.deploy("serve")
    assert served.wait_for(run, "Completed", "Failed", "GaveUp")["name"] == "Completed"
