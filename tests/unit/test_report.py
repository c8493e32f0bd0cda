"""The epoch table as the classic example has it."""

from pathlib import Path

from rich.console import Console

from tests.contract import run_stages, stopping_after, write_rows
from unbroken.config import CheckpointConfig, Config, DataConfig, TrainingConfig
from unbroken.report import RunReport
from unbroken.run import open_run


def test_the_table_tells_of_each_epoch_what_was_saved_and_where_training_continued(tmp_path: Path):
    config = Config(
        data=DataConfig(source=write_rows(tmp_path / "rows.parquet", "binary")),
        training=TrainingConfig(epochs=4, batch_size=32),
        checkpoint=CheckpointConfig(every_steps=4),
        runs_folder=str(tmp_path / "runs"),
    )
    for steps in (7, 5):
        with stopping_after(steps):
            run_stages(config)
    run_stages(config)

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
