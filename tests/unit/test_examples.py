import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def output_of(example: str, folder: Path) -> list[str]:
    command = [sys.executable, REPOSITORY / "examples" / example, folder]
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
