"""What is said of training on is true: another run, nothing, or worse is never advised."""

from pathlib import Path
from typing import Any

import pytest

from tests.contract import write_rows
from unbroken.cli.main import answer
from unbroken.config import CheckpointConfig, Config, TrainingConfig
from unbroken.reports.advice import advise

STEPS = 8


def history_of(*losses: float) -> list[dict[str, float]]:
    return [{"epoch": float(epoch), "validation_loss": loss} for epoch, loss in enumerate(losses, start=1)]


def advice(*losses: float, publish: Any = "last", **training: Any) -> str:
    options: dict[str, Any] = {"epochs": len(losses), **training}
    config = Config(training=TrainingConfig(**options), checkpoint=CheckpointConfig(publish=publish))
    return advise(config, history_of(*losses), STEPS)


FALLING = (0.5, 0.4, 0.3, 0.2)


def test_a_training_that_still_improves_can_be_trained_on():
    assert advice(*FALLING) == "--training.epochs 9"


@pytest.mark.parametrize("scheduler", ["OneCycleLR", "CosineAnnealingLR"])
def test_a_schedule_whose_length_is_that_of_the_training_makes_more_epochs_another_run(scheduler: str):
    assert advice(*FALLING, scheduler=scheduler) == (
        f"not as this run: {scheduler} takes its length from training.epochs; more epochs start from scratch"
    )


@pytest.mark.parametrize(
    ("scheduler", "options"),
    [
        ("OneCycleLR", {"total_steps": 4 * STEPS}),
        ("OneCycleLR", {"epochs": 4, "steps_per_epoch": STEPS}),
        ("PolynomialLR", {"total_iters": 3}),
    ],
)
def test_a_schedule_of_its_own_length_ends_with_it(scheduler: str, options: dict[str, int]):
    said = advice(*FALLING, scheduler=scheduler, scheduler_options=options)

    assert said == f"not as this run: its {scheduler} has come to its end; another length of it starts from scratch"


def test_no_more_epochs_are_advised_than_a_schedule_has():
    said = advice(*FALLING, scheduler="OneCycleLR", scheduler_options={"total_steps": 6 * STEPS + 1})

    assert said == "--training.epochs 6"


def test_more_epochs_do_nothing_after_early_stopping():
    said = advice(0.5, 0.3, 0.4, 0.4, epochs=100, patience=2)

    assert said == (
        "not by more epochs: validation_loss has not become better for 2 epochs (best: epoch 2); "
        "another training.patience is another run, from scratch"
    )


def test_a_best_epoch_long_before_the_end_is_named_with_the_way_to_publish_it():
    losses = (0.5, 0.2, 0.3, 0.4, 0.5)

    assert advice(*losses) == (
        "--training.epochs 10, but validation_loss was best in epoch 2 of 5: --checkpoint.publish best publishes that"
    )
    assert advice(*losses, publish="best").endswith("validation_loss was best in epoch 2 of 5: which is published")


def test_a_metric_that_was_never_a_number_has_no_best_epoch():
    assert advice(*[float("nan")] * 4) == "--training.epochs 9"
    assert advice(*[float("nan")] * 4, patience=2) == "--training.epochs 9"


def test_the_command_says_it_and_what_it_advises_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """With steps so long that nothing is learnt, the best epoch is an early one; the same run then publishes it."""
    monkeypatch.chdir(tmp_path)
    source = write_rows(tmp_path / "rows.parquet", "binary")
    words = ["train", "--no-orchestrator", "--data.source", source, "--training.batch_size", "32"]
    words += ["--training.learning_rate", "0.5", "--training.monitor", "validation_accuracy"]

    assert answer([*words, "--checkpoint.publish", "last", "--training.epochs", "5"]) == 0
    first = capsys.readouterr().out
    said = next(line for line in first.splitlines() if line.startswith("train on"))
    assert answer([*words, "--checkpoint.publish", "best", "--training.epochs", "10"]) == 0
    again = capsys.readouterr().out

    assert "was best in epoch" in said
    assert "resumed from epoch 5" in again
    assert len(list((tmp_path / "runs").iterdir())) == 1
