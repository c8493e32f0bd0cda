import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def output_of(example: str, folder: Path) -> list[str]:
    return printed([str(REPOSITORY / "examples" / example), str(folder)], folder)


def printed(arguments: list[str], folder: Path) -> list[str]:
    command = [sys.executable, *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_the_classic_goes_on_after_its_checkpoint_to_the_same_bytes(tmp_path: Path):
    *epochs, end = output_of("classic.py", tmp_path)

    assert [line.split()[0] for line in epochs] == ["1", "2", "3", "4", "5"]
    assert epochs[2].endswith("training continued after loading checkpoint")
    assert end == "the same bytes"


def test_a_model_and_a_hook_of_ones_own_train_on_the_flights(tmp_path: Path):
    first, second, end = output_of("own_model.py", tmp_path)

    assert first.startswith("epoch 1: auroc 0.")
    assert second.startswith("epoch 2: auroc 0.")
    assert end.startswith("published epoch 2, sha256 ")


@pytest.mark.slow
def test_batch_scoring_computes_nothing_twice(tmp_path: Path):
    february, march, again = output_of("batch_scoring.py", tmp_path)

    assert february.startswith("2013-02: ")
    assert march == again
    assert len(list((tmp_path / "predictions").rglob("*.parquet"))) == 2


@pytest.mark.slow
def test_a_nightly_retraining_challenges_the_champion_on_what_is_new(tmp_path: Path):
    first, second, third, champion = output_of("nightly_retraining.py", tmp_path)

    assert first.startswith("night 1: promote: ")
    assert second.startswith("night 2: ")
    assert third == "night 3: nothing new"
    assert champion.startswith("champion ")


@pytest.mark.slow
def test_the_cells_of_the_notebook_run_one_after_the_other(tmp_path: Path):
    notebook = json.loads((REPOSITORY / "examples" / "first_steps.ipynb").read_text("utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]

    assert "the same bytes" in printed(["-c", "\n".join(cells)], tmp_path)
