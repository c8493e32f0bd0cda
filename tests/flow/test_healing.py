"""What nobody reports is found by looking: runs of a terminal, tasks, workers, promotions; and what crashes again and again."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.contract import write_rows
from tests.flow.served import Served, events
from tests.flow.test_self_resume import RUNS, slow_training, wait_for_attempt

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def tasks_of(served: Served, run: UUID) -> list[dict[str, Any]]:
    """Return the task runs of a flow run."""
    return served.ask("POST", "/task_runs/filter", {"task_runs": {"flow_run_id": {"any_": [str(run)]}}})


def workers_of(served: Served) -> list[str]:
    """Return the names of the workers that the pool lists."""
    return [worker["name"] for worker in served.ask("POST", f"/work_pools/{served.project}/workers/filter", {})]


def let_promotions_trigger(served: Served, *, enabled: bool) -> None:
    """Let the event of a promotion start its prediction, or be lost."""
    (trigger,) = served.ask("POST", "/automations/filter", {})
    served.ask("PATCH", f"/automations/{trigger['id']}", {"enabled": enabled})


def test_a_run_of_a_terminal_that_was_killed_does_not_stay_running_and_neither_do_its_tasks(
    served: Served, tmp_path: Path
):
    command = [sys.executable, "-m", "flows.train", "--data.source", "sample", "--training.batch_size", "1"]
    runs = tmp_path / "runs"
    environment = served.environment | {"PREFECT_API_URL": served.api}
    with subprocess.Popen(
        [*command, "--training.epochs", "10000", "--runs_folder", str(runs)], cwd=served.folder, env=environment
    ) as process:
        served.eventually(lambda: len(events(runs)) > 2, "the training")
        running = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}, "deployment_id": {"is_null_": True}}}
        (run,) = served.ask("POST", "/flow_runs/filter", running)
        process.send_signal(signal.SIGKILL)

    end = served.wait_for(UUID(run["id"]), "Lost")

    assert end["type"] == "CRASHED"
    assert "no sign of life for 20 s" in end["message"]
    served.eventually(
        lambda: not [task for task in tasks_of(served, run["id"]) if task["state_type"] in ("RUNNING", "PENDING")],
        "the end of its tasks",
    )
    assert any("its attempt has ended" in task["state"]["message"] for task in tasks_of(served, run["id"]))


def test_the_tasks_of_a_dead_attempt_end_while_the_next_attempt_is_at_work(served: Served, tmp_path: Path):
    runs = tmp_path / "runs"
    run = served.start(RUNS, slow_training(runs, epochs=5000))
    wait_for_attempt(served, 1, runs)
    served.kill("engine", run)
    wait_for_attempt(served, 2, runs)

    def trainings() -> list[str]:
        return sorted(task["state_type"] for task in tasks_of(served, run) if task["name"].startswith("train"))

    served.eventually(lambda: trainings() == ["CRASHED", "RUNNING"], "the end of the first attempt's task")
    served.cancel(run)
    served.wait_for(run, "Cancelled")


def test_a_cancelled_run_whose_processes_are_gone_ends_cancelled(served: Served, tmp_path: Path):
    runs = tmp_path / "runs"
    run = served.start(RUNS, slow_training(runs, epochs=5000))
    wait_for_attempt(served, 1, runs)

    served.kill("worker")
    os.kill(served.process("healing"), signal.SIGSTOP)
    served.kill_processes(run)
    served.cancel(run)
    os.kill(served.process("healing"), signal.SIGCONT)
    served.deploy("serve")

    served.wait_for(run, "Cancelled")


def test_a_worker_that_died_leaves_the_list_of_the_pool(served: Served):
    before = served.eventually(lambda: workers_of(served), "a worker")
    served.kill("worker")
    served.deploy("serve")

    served.eventually(lambda: workers_of(served) and not set(before) & set(workers_of(served)), "the removal")


def test_a_promotion_whose_event_was_lost_is_predicted_once(served: Served, tmp_path: Path):
    let_promotions_trigger(served, enabled=False)
    write_rows(tmp_path / "incoming" / "first.parquet", "binary", rows=2000)
    train = {"data": {"source": str(tmp_path / "incoming")}, "runs_folder": str(tmp_path / "runs")}
    config = {"model": "toy", "models_folder": str(tmp_path / "models"), "train": train}

    def scorings() -> list[dict[str, Any]]:
        runs = served.runs_of("predict/champion")
        return [run for run in runs if run["parameters"].get("model") == str(tmp_path / "models" / "toy")]

    try:
        run = served.start("retrain/nightly", config)
        served.wait_for(run, "Promoted")
        (scoring,) = served.eventually(scorings, "the scoring")
        served.wait_for(UUID(scoring["id"]), "Completed")
        served.kill("healing")
        served.deploy("serve")
        second = served.start("retrain/nightly", config)
        served.wait_for(second, "Skipped")
        healing = (served.folder / ".serve" / "healing.log").read_text()
        assert healing.count("nothing has scored") == 1
        assert len(scorings()) == 1
    finally:
        let_promotions_trigger(served, enabled=True)


def test_a_retraining_outlives_a_server_that_forgets_who_has_its_slot(served: Served, tmp_path: Path):
    write_rows(tmp_path / "in" / "first.parquet", "binary", rows=2000)
    train = slow_training(tmp_path / "runs") | {"data": {"source": str(tmp_path / "in")}}
    config = {"model": "slot", "models_folder": str(tmp_path / "models"), "train": train}
    run = served.start("retrain/nightly", config)
    wait_for_attempt(served, 1, tmp_path / "runs")

    served.kill("server")
    served.deploy("serve")
    served.kill("engine", run)

    assert served.wait_for(run, "Promoted", "GaveUp")["name"] == "Promoted"


def test_a_run_that_is_killed_twice_at_one_step_stops_and_names_its_rows(served: Served, tmp_path: Path):
    (served.folder / "poisoned.py").write_text(
        textwrap.dedent("""
            import os
            from unbroken.models.mlp import MLP

            class Poisoned(MLP):
                def __init__(self, features, marker):
                    super().__init__(features, hidden=[8], dropout=0.0)
                    self.marker = marker

                def forward(self, numbers, codes):
                    if self.training and len(numbers) == 7 and os.path.exists(self.marker):
                        os.kill(os.getpid(), 9)
                    return super().forward(numbers, codes)
        """)
    )
    write_rows(tmp_path / "rows.parquet", "binary", rows=109)  # 87 train: ten batches of 8, and one of 7
    (tmp_path / "poison").touch()
    config = {
        "data": {"source": str(tmp_path / "rows.parquet")},
        "model": {"factory": "poisoned:Poisoned", "options": {"marker": str(tmp_path / "poison")}},
        "training": {"epochs": 2, "batch_size": 8},
        "runs_folder": str(tmp_path / "runs"),
    }
    run = served.start(RUNS, config, env={"PYTHONPATH": str(served.folder)})

    end = served.wait_for(run, "Failed", "Completed", "GaveUp")

    assert end["name"] == "Failed"
    assert served.states(run).count("Crashed") == 2
    assert "was killed 2 times in a row at step 11 of epoch 1" in end["message"]
    assert f"Its 7 rows are {tmp_path / 'rows.parquet'}: " in end["message"]
    (tmp_path / "poison").unlink()
    served.ask("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}})
    assert served.wait_for(run, "Completed", "GaveUp")["name"] == "Completed"
