"""A deployed run crashes while the code is upgraded: it ends with a word where a person looks, and never goes on in silence."""

import json
import time
from pathlib import Path

import pytest

from tests.flow.served import LIVELY, Served
from tests.flow.test_self_resume import RUNS, slow_training, undisturbed, wait_for_attempt

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MODULE = "models/mlp.py"
WAYS_OUT = ("Finish it with that version", "--resume.accept_code true", "train it anew in another runs_folder")


def test_a_run_whose_code_was_upgraded_while_it_was_dead_fails_once_with_both_codes_and_goes_on_where_that_is_accepted(
    served: Served, tmp_path: Path
):
    runs = tmp_path / "runs"
    run = served.start(RUNS, slow_training(runs))
    wait_for_attempt(served, 1, runs)

    with served.edited(MODULE, "SPREAD = 4.0", "SPREAD = 4.5"):
        served.kill("engine", run)
        end = served.wait_for(run, "Failed", "Completed", "GaveUp")
        states = served.states(run)
        time.sleep(float(LIVELY["UNBROKEN_SILENCE"]) + 15)
        states_later = served.states(run)
        accepted = served.start(RUNS, slow_training(runs) | {"resume": {"accept_code": True}})
        end_of_accepted = served.wait_for(accepted, "Failed", "Completed", "GaveUp")

    assert end["type"] == "FAILED"
    assert "it was trained by unbroken" in end["message"]
    assert "this is unbroken" in end["message"]
    assert f"what differs: {MODULE}" in end["message"]
    assert [words for words in WAYS_OUT if words not in end["message"]] == []
    assert "Traceback" not in end["message"]
    assert states.count("AwaitingRetry") == 1
    assert states_later == states
    assert end_of_accepted["name"] == "Completed"
    assert any("from here on the run is not exact" in line for line in served.logs(accepted))
    (manifest,) = runs.glob("*/checkpoint.json")
    assert json.loads(manifest.read_text())["lineage"]["exact"] is False


def test_a_run_that_meets_a_syntax_error_when_it_restarts_goes_on_once_it_is_mended(served: Served, tmp_path: Path):
    runs = tmp_path / "runs"
    run = served.start(RUNS, slow_training(runs))
    wait_for_attempt(served, 1, runs)

    with served.edited(MODULE, "SPREAD = 4.0", "SPREAD = = 4.0"):
        served.kill("engine", run)
        served.eventually(lambda: served.states(run).count("Crashed") >= 2, "a crash by the syntax error")

    assert served.wait_for(run, "Completed", "Failed", "GaveUp")["name"] == "Completed"
    (published,) = runs.glob("*/checkpoint.pth")
    assert published.read_bytes() == undisturbed(tmp_path / "undisturbed")
