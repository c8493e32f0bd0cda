"""A kept part of a run can be trained again to the same bytes, and another run can begin where it was."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.catalog.runs import settings, trained
from unbroken.catalog.replay import replay
from unbroken.checkpoints.format import read_checkpoint, write_checkpoint
from unbroken.checkpoints.inspection import entries
from unbroken.cli.main import answer
from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, TrainingConfig
from unbroken.errors import CheckpointError, DataError
from unbroken.pipeline import train
from unbroken.storage import atomic


def files_of(run: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in run.parent.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ema_decay": 0.9, "accumulate": 2},
        {"optimizer": "SGD", "scheduler": "OneCycleLR", "scheduler_options": {"max_lr": 0.1}},
    ],
)
def test_every_kept_step_and_epoch_comes_out_with_the_same_bytes_from_any_earlier_one(
    changes: dict[str, Any], tmp_path: Path
):
    config = Config(
        data=DataConfig(source="sample"),
        model=ModelConfig(options={"hidden": [8], "dropout": 0.2}),
        training=replace(TrainingConfig(epochs=2, batch_size=64), **changes),
        checkpoint=CheckpointConfig(every_steps=3, every_seconds=None, keep_last=100),
        runs_folder=str(tmp_path / "runs"),
    )
    run = train(config).path.parent
    kept, before = sorted(entries(run), key=lambda entry: entry.order), files_of(run)
    assert any(entry.step for entry in kept)

    assert [(result.entry, result.differences) for result in replay(run, 0)] == [(entry, ()) for entry in kept]
    middle = kept[len(kept) // 2 - 1]
    results = list(replay(run, middle.epoch, middle.step))
    assert [(result.entry, result.differences) for result in results] == [
        (entry, ()) for entry in kept if entry.order > middle.order
    ]
    assert files_of(run) == before


def test_a_checkpoint_that_another_training_made_is_named_leaf_by_leaf(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = trained(tmp_path)
    newest = entries(run)[0]
    tree = read_checkpoint(newest.path)
    next(iter(tree["model_state_dict"].values())).flatten()[0].add_(1)
    newest.path.unlink()
    with atomic.replacing(
        run / "checkpoints/new", lambda: None, lambda: newest.path.with_name(f"epoch-0002.{file.digest[:16]}.pth")
    ) as file:
        write_checkpoint(tree, file)

    assert answer(["runs", "replay", str(run)]) == 1
    shown = capsys.readouterr().out
    assert "OTHER BYTES" in shown
    assert "leaves differ, the first is model_state_dict." in shown


def test_a_checkpoint_that_is_not_kept_and_the_newest_one_are_refused(tmp_path: Path):
    run = trained(tmp_path)
    with pytest.raises(CheckpointError, match="found no checkpoint of epoch 7, step 0; kept are: epoch 1, epoch 2"):
        list(replay(run, 7))
    with pytest.raises(CheckpointError, match="found no checkpoint after epoch 2"):
        list(replay(run, 2))


def test_a_run_whose_data_changed_is_not_replayed(tmp_path: Path):
    source = tmp_path / "rows.csv"
    source.write_text("x,y\n" + "".join(f"{row},{row % 2}\n" for row in range(100)))
    config = replace(settings(tmp_path, batch_size=8), data=DataConfig(source=str(source)))
    run = train(config).path.parent
    source.write_text(source.read_text().replace("7,1", "8,1"))
    with pytest.raises(DataError, match="the data or the model's source are no longer those of the run"):
        list(replay(run))
    assert [path.name for path in run.parent.iterdir()] == [run.name]


def test_a_fork_begins_with_weights_and_optimizer_of_the_epoch_and_keeps_its_lineage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    run = trained(tmp_path, epochs=3)
    first = torch.load(next(run.glob("checkpoints/epoch-0002.*")), weights_only=True)
    words = ["runs", "fork", run.name, "--from", "2", "--name", "slower", "--set", "training.learning_rate=1e-9"]
    assert answer([*words, "training.epochs=1"]) == 0
    assert "--start.warm_from" in capsys.readouterr().out
    fork = next(path.parent for path in run.parent.glob("*/name") if path.read_text() == "slower\n")

    second = torch.load(fork / "checkpoint.pth", weights_only=True)
    for name, weight in first["model_state_dict"].items():
        assert torch.allclose(weight, second["model_state_dict"][name], atol=1e-6)
    moments = [tree["optimizer_state_dict"]["state"][0]["step"] for tree in (first, second)]
    assert moments[1] > moments[0] > 0
    published = run / "forked/epoch-0002/checkpoint.pth"
    lineage = json.loads((fork / "checkpoint.json").read_text())["lineage"]
    assert lineage["warm_from_sha256"] == atomic.digest(published)


def test_a_fork_of_an_epoch_that_is_gone_or_of_half_a_setting_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = trained(tmp_path, epochs=4)
    assert answer(["runs", "fork", str(run), "--epoch", "1"]) == 2
    assert "found no checkpoint of epoch 1; kept are: epoch 4, epoch 3" in " ".join(capsys.readouterr().err.split())
    assert answer(["runs", "fork", str(run), "--set", "training.seed"]) == 2
    assert "found 'training.seed', expected a setting and its value" in " ".join(capsys.readouterr().err.split())
    assert not (run / "forked").exists()


@pytest.mark.slow
def test_a_replay_from_any_of_twenty_random_steps_gives_the_bytes_of_all_that_was_kept_after_it(tmp_path: Path):
    config = Config(
        data=DataConfig(source="sample"),
        model=ModelConfig(factory="tabm", options={"hidden": [16], "members": 2}),
        training=TrainingConfig(epochs=4, batch_size=32),
        checkpoint=CheckpointConfig(every_steps=1, every_seconds=None, keep_last=1000),
        runs_folder=str(tmp_path / "runs"),
    )
    run = train(config).path.parent
    kept = sorted(entries(run), key=lambda entry: entry.order)
    assert len(kept) == 100
    chosen = random.Random(20).sample(kept[:-1], 20)

    for start in chosen:
        results = list(replay(run, start.epoch, start.step))
        assert [(result.entry, result.differences) for result in results] == [
            (entry, ()) for entry in kept if entry.order > start.order
        ]
