"""A project of one's own: written by one command, trained by another, with or without Prefect."""

import filecmp
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def unbroken(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "unbroken", *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    result = unbroken("init", "mine", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    return tmp_path / "mine"


def test_a_new_project_holds_this_repositorys_flows_and_tasks(project: Path):
    for name in ("flows", "tasks"):
        sources = sorted(path.name for path in (ROOT / name).glob("*.py"))
        same, different, errors = filecmp.cmpfiles(ROOT / name, project / name, sources, shallow=False)
        assert (sorted(same), different, errors) == (sources, [], [])
    assert "flights" not in (project / "prefect.yaml").read_text()


@pytest.mark.slow
def test_a_new_project_trains_retrains_and_predicts_without_prefect(project: Path):
    trained = unbroken("train", "--no-orchestrator", folder=project)
    retrained = unbroken("retrain", "--no-orchestrator", folder=project)
    predicted = unbroken("predict", "--no-orchestrator", folder=project)

    assert [result.returncode for result in (trained, retrained, predicted)] == [0, 0, 0], trained.stderr
    assert "in this process, without Prefect: as asked for" in trained.stdout
    assert "(epoch 5, restored and verified)" in trained.stdout
    assert "champion" in retrained.stdout
    assert "1,000 rows scored" in predicted.stdout


@pytest.mark.slow
def test_a_new_project_trains_the_network_of_its_own(project: Path):
    trained = unbroken("train", "--no-orchestrator", "--model.factory", "model:build", folder=project)

    assert trained.returncode == 0, trained.stderr
    assert "model  model:build" in trained.stdout


@pytest.mark.slow
def test_the_settings_of_a_project_are_read_and_named_and_what_is_typed_wins(project: Path):
    result = unbroken("train", "--no-orchestrator", "--training.epochs", "2", folder=project)

    assert result.returncode == 0, result.stderr
    assert "config run.toml\n" in result.stdout
    assert "2 epochs in batches of" in result.stdout


@pytest.mark.slow
def test_outside_a_project_a_file_of_that_name_is_not_read(tmp_path: Path):
    (tmp_path / "run.toml").write_text("[training]\noptimizer = 'SGD'\n")

    result = unbroken("train", "--data.source", "sample", "--training.epochs", "1", folder=tmp_path)

    assert result.returncode == 0, result.stderr
    assert "run.toml" not in result.stdout
    assert "model  mlp, Adam" in result.stdout


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a = [", "run.toml: cannot be read as TOML"),
        ("[training]\nepoch = 3\n", "does not accept option 'epoch' (on the command line or in run.toml)"),
        (
            "[training]\nepochs = 'x'\n",
            "training.epochs: found 'x', expected int or 'auto' (on the command line or in run.toml)",
        ),
    ],
)
def test_a_mistake_in_the_settings_of_a_project_names_the_file(text: str, named: str, project: Path):
    (project / "run.toml").write_text(text)

    result = unbroken("train", folder=project)

    assert result.returncode == 2
    assert named in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_the_demo_is_the_same_in_a_project_that_has_settings_of_its_own(project: Path):
    (project / "run.toml").write_text("[training]\noptimizer = 'SGD'\n")

    result = unbroken("demo", folder=project)

    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == "the same bytes"


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")

    result = unbroken("init", "mine", folder=tmp_path)

    assert result.returncode == 2
    assert "found something there, expected a new name or an empty folder" in " ".join(result.stderr.split())
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_outside_a_project_the_stages_run_in_one_process_and_a_line_says_so(tmp_path: Path):
    words = ("train", "--data.source", "sample", "--training.epochs", "1")
    result = unbroken(*words, folder=tmp_path)

    assert result.returncode == 0, result.stderr
    assert "in this process, without Prefect: there is no flows/train.py in this folder" in result.stdout


def test_outside_a_project_nothing_can_be_served(tmp_path: Path):
    result = unbroken("serve", folder=tmp_path)

    assert result.returncode == 2
    assert "found no prefect.yaml, expected the folder of a project" in " ".join(result.stderr.split())


def test_a_bare_training_says_what_is_needed(tmp_path: Path):
    result = unbroken("train", folder=tmp_path)

    assert result.returncode == 2
    assert "data.source" in result.stderr
    assert "Traceback" not in result.stderr
