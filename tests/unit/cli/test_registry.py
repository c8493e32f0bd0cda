"""`unbroken registry`: which champion and which of its predictions stand after a change by hand, and who is told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.retraining.monthly import arrives, config_for, month, registry, retrain
from unbroken.config import PredictConfig
from unbroken.pipeline import predict


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Promote two versions, each with the predictions of its round."""
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        arrives(tmp_path, f"{number}.parquet", month(number))
        decision = retrain(config_for(tmp_path))
        if not decision.verdict.promote:
            registry(config_for(tmp_path)).promote(decision.challenger.digest)
        predict(PredictConfig(model="models/toy"))
    return tmp_path


def unbroken(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    home = {"PREFECT_HOME": str(folder / "prefect")}
    command = [sys.executable, "-m", "unbroken", "registry", *words]
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | home | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_rollback_says_what_stands_now_and_how_to_score_where_no_server_is_told(project: Path):
    first, second = registry(config_for(project)).pointer.champions

    done = unbroken("rollback", "toy", folder=project)

    assert done.returncode == 0, done.stderr
    champion, standing, server = done.stdout.splitlines()
    assert champion == f"toy: the champion is {first}"
    assert standing.startswith(f"predictions  predictions/toy/{first[:16]}/1-")
    assert standing.endswith(f"(400 rows of {project}/in/1.parquet)")
    assert server == "server       none is set (PREFECT_API_URL); score by: unbroken predict --model models/toy"
    assert len(list((project / "predictions" / "toy" / second[:16]).glob("*.parquet"))) == 1


def test_a_server_that_cannot_be_told_does_not_undo_the_rollback(project: Path):
    first, _ = registry(config_for(project)).pointer.champions

    done = unbroken("rollback", "toy", folder=project, PREFECT_API_URL="http://127.0.0.1:9/api")

    assert done.returncode == 0, done.stderr
    assert registry(config_for(project)).pointer.champion == first
    assert "server       not told; score by: unbroken predict --model models/toy. http://127.0.0.1:9/api" in done.stdout
    assert "Traceback" not in done.stderr
