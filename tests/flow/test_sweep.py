"""A sweep on Prefect comes to what it comes to without."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flow.conftest import ROOT
from tests.unit.sweeps.sweeps import write_source


@pytest.mark.slow
def test_a_sweep_on_prefect_ends_with_the_best_of_one_in_a_single_process(environment: dict[str, str], tmp_path: Path):
    write_source(tmp_path)

    on_prefect = sweep(environment, tmp_path, "prefect")
    alone = sweep(environment, tmp_path, "alone", "--no-orchestrator")

    assert "without Prefect" in alone
    assert "without Prefect" not in on_prefect
    assert "trials in" in on_prefect
    assert "trial 1 of 2 " in alone
    assert digest(on_prefect) == digest(alone)


def sweep(environment: dict[str, str], folder: Path, name: str, *arguments: str) -> str:
    settings = {
        "data.source": folder / "source.parquet",
        "model.factory": "mlp",
        "split.validation_fraction": 0.1,
        "training.epochs": 2,
        "checkpoint.baseline": "constant",
        "runs_folder": folder / name / "runs",
        "sweep.space": folder / "space.toml",
        "sweep.folder": folder / name / "sweeps",
        "sweep.trials": 2,
    }
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    done = subprocess.run(
        [sys.executable, "-m", "flows.sweep", *words, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def digest(output: str) -> str:
    match = re.search(r"^sha256 +([0-9a-f]{64})$", output, re.MULTILINE)
    assert match is not None, output
    return match[1]
