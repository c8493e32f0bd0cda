"""What was saved can be listed, verified and compared, and nothing is changed by looking."""

import shutil
from pathlib import Path

import pytest
import torch

from unbroken.checkpoints.inspection import differences, entries
from unbroken.cli.main import answer
from unbroken.config import CheckpointConfig, Config, DataConfig, TrainingConfig
from unbroken.pipeline import prepare
from unbroken.run import open_run
from unbroken.stages.save_checkpoint import save_checkpoint
from unbroken.stages.train import train
from unbroken.storage.artifact import Artifact


def trained(folder: Path, seed: int = 0) -> Path:
    """Train two short epochs on the sample and return the run's folder."""
    training = TrainingConfig(epochs=2, batch_size=400, seed=seed)
    config = Config(
        data=DataConfig(source="sample"),
        training=training,
        checkpoint=CheckpointConfig(every_seconds=None),
        runs_folder=str(folder),
    )
    run = open_run(config)
    prepared = prepare(config, run)
    encoder = Artifact.of(Path(prepared.preprocessed.encoder.path))
    save_checkpoint(train(config, prepared.splits, encoder, run), prepared.splits, encoder, config, run)
    return run.path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return trained(tmp_path)


def flip(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def state_of(run: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_list_shows_each_checkpoint_with_its_size_and_metrics(run: Path, capsys: pytest.CaptureFixture[str]):
    before = state_of(run)
    assert answer(["runs", "list", str(run)]) == 0
    shown = capsys.readouterr().out
    for path in (run / "checkpoints").glob("*.pth"):
        assert path.name in shown
        assert f"{path.stat().st_size:,}" in shown
    assert "auroc" in shown
    assert state_of(run) == before


def test_list_marks_a_corrupt_checkpoint(run: Path, capsys: pytest.CaptureFixture[str]):
    flip(entries(run)[0].path)
    assert answer(["runs", "list", str(run)]) == 1
    assert "corrupt" in capsys.readouterr().out


def test_verify_of_a_whole_run_ends_with_0(run: Path, capsys: pytest.CaptureFixture[str]):
    assert answer(["runs", "verify", str(run)]) == 0
    shown = capsys.readouterr().out
    assert sum(line.startswith("whole ") for line in shown.splitlines()) == 5
    assert "CORRUPT" not in shown


@pytest.mark.parametrize(
    "name", ["checkpoint.pth", "checkpoint.json", "checkpoints/epoch-0001*", "checkpoints/epoch-0002*"]
)
def test_verify_names_the_damaged_file_and_changes_nothing(name: str, run: Path, capsys: pytest.CaptureFixture[str]):
    (damaged,) = run.glob(name)
    damaged.write_bytes(damaged.read_bytes()[:100])
    before = state_of(run)
    assert answer(["runs", "verify", str(run)]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("CORRUPT")]
    assert str(damaged) in line
    assert state_of(run) == before


def test_verify_finds_a_manifest_that_tells_something_else_than_its_checkpoint(
    run: Path, capsys: pytest.CaptureFixture[str]
):
    manifest = run / "checkpoint.json"
    manifest.write_text(manifest.read_text().replace('"step": 4', '"step": 5'))
    assert answer(["runs", "verify", str(run)]) == 1
    assert "step: not as in checkpoint.pth" in capsys.readouterr().out


def test_verify_names_a_missing_manifest(run: Path, capsys: pytest.CaptureFixture[str]):
    (run / "checkpoint.json").unlink()
    shutil.rmtree(run / "manifests")
    assert answer(["runs", "verify", str(run)]) == 1
    assert "checkpoint.json: found no manifest beside checkpoint.pth" in capsys.readouterr().out


@pytest.mark.parametrize("pattern", ["checkpoint.json", "manifests/*.json"])
def test_verify_finds_any_flipped_bit_of_a_manifest(pattern: str, run: Path, capsys: pytest.CaptureFixture[str]):
    (manifest,) = run.glob(pattern)
    content = bytearray(manifest.read_bytes())
    for index in range(0, len(content), len(content) // 40):
        content[index] ^= 1
        manifest.write_bytes(content)
        assert answer(["runs", "verify", str(run)]) == 1, content[index - 20 : index + 20]
        content[index] ^= 1
    manifest.write_bytes(content)
    assert answer(["runs", "verify", str(run)]) == 0


def test_diff_of_equal_runs_ends_with_0(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    again = trained(tmp_path / "again")
    assert answer(["runs", "diff", str(run), str(again)]) == 0
    assert "the same, to the bit" in capsys.readouterr().out


def test_diff_names_the_first_leaf_that_differs(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    other = trained(tmp_path / "other", seed=1)
    assert answer(["runs", "diff", str(run), str(other)]) == 1
    shown = capsys.readouterr().out
    assert "the first is run_key" in shown
    assert run.name in shown
    assert other.name in shown


def test_diff_finds_one_changed_bit_in_one_weight(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tree = torch.load(run / "checkpoint.pth", weights_only=True)
    weights = tree["model_state_dict"]["layers.0.weight"]
    before = weights[3, 2].item()
    weights.view(torch.int32)[3, 2] ^= 1
    torch.save(tree, tmp_path / "other.pth")
    assert answer(["runs", "diff", str(run / "checkpoint.pth"), str(tmp_path / "other.pth")]) == 1
    shown = capsys.readouterr().out
    assert "1 leaves differ, the first is model_state_dict.layers.0.weight" in shown
    assert f"1 of {weights.numel()} elements differ, [{3 * weights.shape[1] + 2}] is {before!r}" in " ".join(
        shown.split()
    )


def test_diff_tells_a_zero_from_a_negative_zero_and_a_nan_from_none():
    one = {"a": torch.tensor([0.0]), "b": float("nan"), "c": torch.tensor([float("nan")])}
    assert differences(one, {**one, "b": float("nan"), "c": torch.tensor([float("nan")])}) == []
    ((name, left, right),) = differences(one, {**one, "a": torch.tensor([-0.0])})
    assert (name, left, right) == ("a", "1 of 1 elements differ, [0] is 0.0", "[0] is -0.0")


@pytest.mark.parametrize("command", [["list"], ["verify"], ["diff", "README.md"]])
def test_a_path_that_is_no_run_is_refused_in_a_sentence(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert answer(["runs", *command, str(tmp_path / "nowhere")]) in {1, 2}
    assert "error: " in capsys.readouterr().err


def test_a_run_without_checkpoints_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "checkpoints").mkdir()
    assert answer(["runs", "verify", str(tmp_path)]) == 2
    assert "found no checkpoint" in capsys.readouterr().err
