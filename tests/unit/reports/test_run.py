"""The epoch table as the classic example has it."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from tests.contract import run_stages, stopping_after, write_rows
from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, TrainingConfig
from unbroken.reports.run import AttemptEnd, RunReport
from unbroken.run import open_run
from unbroken.storage import atomic


def disturbed(tmp_path: Path) -> Config:
    """Train four epochs in three attempts and return the settings."""
    config = Config(
        data=DataConfig(source=write_rows(tmp_path / "rows.parquet", "binary")),
        training=TrainingConfig(epochs=4, batch_size=32),
        checkpoint=CheckpointConfig(every_steps=4, publish="last"),
        runs_folder=str(tmp_path / "runs"),
    )
    for steps in (7, 5):
        with stopping_after(steps) as stop:
            run_stages(config, [stop])
    run_stages(config)
    return config


def test_the_table_tells_of_each_epoch_what_was_saved_and_where_training_continued(tmp_path: Path):
    config = disturbed(tmp_path)

    report = RunReport.read(open_run(config))

    assert [report.observations(epoch) for epoch in (1, 2, 3, 4)] == [
        "checkpoint saved",
        "resumed from epoch 1, resumed from step 8, checkpoint saved",
        "checkpoint saved",
        "checkpoint saved",
    ]
    console = Console(width=120)
    with console.capture() as shown:
        console.print(report.table())
    lines = shown.get().splitlines()
    assert len([line for line in lines if "checkpoint saved" in line]) == 4


def test_the_table_has_the_epochs_after_the_published_one_too_and_marks_that(tmp_path: Path):
    """With steps so long that the validation loss rises, the best epoch is not the last."""
    config = Config(
        data=DataConfig(source=write_rows(tmp_path / "rows.parquet", "binary")),
        model=ModelConfig(factory="mlp"),
        training=TrainingConfig(epochs=6, batch_size=16, learning_rate=1.0),
        runs_folder=str(tmp_path / "runs"),
    )

    published = run_stages(config).epoch
    report = RunReport.read(open_run(config))

    assert published < 6
    assert [entry["epoch"] for entry in report.history] == [1, 2, 3, 4, 5, 6]
    marked = [epoch for epoch in range(1, 7) if "published" in report.observations(epoch)]
    assert marked == [published]


def test_a_checkpoint_whose_process_died_before_it_could_say_so_is_told_by_the_next(tmp_path: Path):
    config = disturbed(tmp_path)
    run = open_run(config)
    lines = run.journal.read_bytes().splitlines(keepends=True)
    run.journal.write_bytes(b"".join(line for line in lines if b"epoch-0004" not in line))

    run_stages(replace(config, training=replace(config.training, epochs=5)))

    assert RunReport.read(run).observations(4) == "checkpoint saved"
    assert RunReport.read(run).observations(5) == "resumed from epoch 4, checkpoint saved"


def test_the_report_as_markdown_shows_result_settings_curves_epochs_attempts_and_lineage(tmp_path: Path):
    run = open_run(disturbed(tmp_path))

    died = AttemptEnd(time="1970-01-01T00:00:00+00:00", reason="Crashed: Process exited with status code: -9.")
    report = RunReport.read(run).markdown(run, [died])

    scores = RunReport.read(run).manifest["test_metrics"]
    assert report.startswith(f"# 4 epochs\n\n`{run.published}`: test loss {scores['test_loss']:.4f}")
    settings, curves, epochs, attempts, lineage = (
        part.split("\n\n")[1].splitlines() for part in report.split("\n## ")[1:]
    )
    best = min(RunReport.read(run).history, key=lambda entry: entry["validation_loss"])
    assert f"| best | `epoch {best['epoch']:.0f} by validation_loss: {best['validation_loss']:.4f}` |" in report
    assert f"| SHA-256 | `{atomic.digest(run.published)}` |" in report
    assert {"| training.optimizer | `Adam` |", "| training.batch_size | `32` |"} <= set(settings)
    assert not any("training.shuffle_rows" in line for line in settings)
    assert "- 8% of the rows validate: they choose, so that the test rows stay unseen" in report
    assert len(epochs) == 2 + 4
    assert "resumed from epoch 1, resumed from step 8" in epochs[3]
    assert any(line.startswith("| validation_auroc | ") for line in curves)
    assert attempts[2] == "| 1970-01-01 00:00:00 | ended: Crashed: Process exited with status code: -9. |"
    assert [line.split(" | ")[1].split(",")[0] for line in attempts[3:]] == ["started", "resumed", "resumed"]
    assert f"| data SHA-256 | `{run.fingerprint}` |" in lineage
    assert {line.count("|") for line in epochs} == {epochs[0].count("|")}
