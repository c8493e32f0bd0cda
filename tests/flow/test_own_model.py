"""A model of one's own, deployed: from the project's folder and from a git repository, with nothing told to Python's path."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

from tests.contract import write_rows
from tests.flow.conftest import ROOT
from tests.flow.served import Served
from unbroken.serving.registry import Registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

NET = """
from torch import nn
from unbroken.models.mlp import MLP

def build(features, width=8):
    return MLP(features, hidden=[width], dropout=0.0)
"""


def settings(folder: Path, model: str, module: str) -> dict[str, Any]:
    train = {
        "data": {"source": str(folder / "in")},
        "model": {"factory": f"{module}:build", "options": {"width": 6}},
        "runs_folder": str(folder / "runs"),
    }
    return {"model": model, "train": train}


def scorings(served: Served, deployment: str = "predict/champion") -> list[UUID]:
    runs = sorted(served.runs_of(deployment), key=lambda run: run["created"])
    return [UUID(run["id"]) for run in runs if run["parameters"].get("model", "").endswith("/own")]


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_module_in_the_projects_folder_trains_is_promoted_scores_and_scores_again_after_a_rollback(
    served: Served, tmp_path: Path
):
    assert "PYTHONPATH" not in served.environment
    (served.folder / "net_in_project.py").write_text(NET)
    config = settings(tmp_path, "own", "net_in_project")
    write_rows(tmp_path / "in" / "january.parquet", "binary", rows=2000)
    served.wait_for(served.start("retrain/nightly", config), "Promoted")
    (first,) = served.eventually(lambda: scorings(served), "the scoring")
    served.wait_for(first, "Completed")
    write_rows(tmp_path / "in" / "february.parquet", "binary", rows=2000, seed=1)
    registry = Registry(served.folder / "models" / "own")
    january = registry.pointer.champion
    assert january is not None
    ended = served.wait_for(served.start("retrain/nightly", config), "Promoted", "Kept")
    february = registry.history()[-1]["challenger"]
    environment = served.environment | {"PREFECT_API_URL": served.api}
    command = [sys.executable, "-m", "unbroken", "registry"]
    if ended["name"] == "Kept":
        run([*command, "promote", "own", february], served.folder, environment)
    served.eventually(lambda: len(scorings(served)) == 2, "the second scoring")
    served.wait_for(scorings(served)[1], "Completed")

    printed = run([*command, "rollback", "own"], served.folder, environment)

    served.eventually(lambda: len(scorings(served)) == 3, "the third scoring")
    served.wait_for(scorings(served)[2], "Completed")
    assert f"own: the champion is {january}\n" in printed
    assert f"predictions/own/{january[:16]}/january-" in printed
    assert f"{served.api} is told" in printed
    standing = sorted(
        (path.parent.name, path.name.partition("-")[0])
        for path in (served.folder / "predictions" / "own").glob("*/*.parquet")
    )
    expected = [(january[:16], "february"), (january[:16], "january"), (february[:16], "february")]
    assert standing == sorted(expected)


def test_a_mistake_of_a_user_is_one_paragraph_in_the_log_and_the_state(served: Served, tmp_path: Path):
    config = {"data": {"source": str(tmp_path / "nowhere.parquet")}, "runs_folder": str(tmp_path / "runs")}

    failed = served.start("train/by-hand", config)

    state = served.wait_for(failed, "Failed")
    assert state["message"].startswith(f"{tmp_path}/nowhere.parquet: no such file")
    contradiction = {"data": {"source": "sample"}, "split": {"kind": "time"}}
    refused = served.start("train/by-hand", contradiction)
    message = served.wait_for(refused, "Failed")["message"]
    assert "split.column: found None, expected a column for group and time" in message
    lines = served.eventually(lambda: [line for line in served.logs(failed) if "Finished in state" in line], "the log")
    assert "no such file" in lines[0]
    for ended in (failed, refused):
        assert [line for line in served.logs(ended) if "Traceback" in line] == []


def test_a_project_in_a_git_repository_is_cloned_for_each_run(served: Served, tmp_path: Path):
    project = tmp_path / "project"
    for part in ("flows", "tasks"):
        shutil.copytree(ROOT / part, project / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", project)
    (project / "net_in_git.py").write_text(NET)
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    bare = tmp_path / "bare.git"
    deployments["pull"] = [{"prefect.deployments.steps.git_clone": {"repository": f"file://{bare}", "branch": "main"}}]
    deployments["deployments"] = [
        {**deployment, "name": f"{served.project}-from-git", "schedules": [], "triggers": []}
        for deployment in deployments["deployments"]
    ]
    (project / "prefect.yaml").write_text(yaml.safe_dump(deployments))
    environment = served.environment | {
        "PREFECT_API_URL": served.api,
        "PREFECT_API_AUTH_STRING": served.secret,
        "UNBROKEN_PROJECT": served.project,
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    run(["git", "init", "-q", "--bare", "-b", "main", str(bare)], tmp_path, environment)
    run(["git", "init", "-q", "-b", "main"], project, environment)
    run(["git", "add", "."], project, environment)
    run(["git", *identity, "commit", "-q", "-m", "A model"], project, environment)
    run(["git", "push", "-q", str(bare), "main"], project, environment)
    run([sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"], project, environment)
    shutil.rmtree(project)
    write_rows(tmp_path / "in" / "january.parquet", "binary", rows=2000)
    config = settings(tmp_path, "cloned", "net_in_git") | {"models_folder": str(tmp_path / "models")}

    ended = served.wait_for(served.start("retrain/from-git", config), "Promoted", "Failed", "Crashed", "Blocked")

    assert ended["name"] == "Promoted", ended["message"]
    factory = {"factory": "net_in_git:build"}
    scoring = {"model": str(tmp_path / "models" / "cloned"), "predictions_folder": str(tmp_path / "predictions")}
    ended = served.wait_for(served.start("predict/from-git", scoring | factory), "Completed", "Failed", "Crashed")
    assert ended["name"] == "Completed", ended["message"]
    assert len(list((tmp_path / "predictions" / "cloned").glob("*/january-*.parquet"))) == 1
