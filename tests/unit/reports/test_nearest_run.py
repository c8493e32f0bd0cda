"""A run that starts from scratch names the one that is near, and what differs."""

import json
import logging
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.contract import run_stages, write_rows
from unbroken.cli.main import answer
from unbroken.config import Config, DataConfig, ModelConfig, TrainingConfig
from unbroken.run import describe, open_run
from unbroken.stages import nearest_run
from unbroken.stages.nearest_run import MOST_READ, tell_nearest_run

SECONDS = 1.0


def configured(folder: Path, **training: Any) -> Config:
    options: dict[str, Any] = {"epochs": 1, "batch_size": 64, **training}
    return Config(
        data=DataConfig(source=write_rows(folder / "rows.parquet", "binary")),
        model=ModelConfig(options={"hidden": [4]}),
        training=TrainingConfig(**options),
        runs_folder=str(folder / "runs"),
    )


def said(config: Config, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.INFO, "unbroken.stages.nearest_run"):
        tell_nearest_run(open_run(config), config)
    return [record.getMessage() for record in caplog.records]


def test_a_changed_setting_is_named_with_the_run_that_had_the_other(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    first = configured(tmp_path)
    run_stages(configured(tmp_path, seed=7, batch_size=32))
    run_stages(first)
    second = replace(first, training=replace(first.training, patience=3, threads=2))

    (line,) = said(second, caplog)

    assert line == (
        f"from scratch, as a run of its own: {open_run(first).folder} differs by "
        "training.patience: 20 -> 3, training.threads: 1 -> 2"
    )


def test_the_command_says_it_before_it_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    source = write_rows(tmp_path / "rows.parquet", "binary")
    words = ["train", "--no-orchestrator", "--data.source", source, "--training.batch_size", "64"]
    words += ["--training.epochs", "2"]

    assert answer(words) == 0
    assert "from scratch, as" not in capsys.readouterr().out
    assert answer([*words, "--training.patience", "3"]) == 0
    shown = " ".join(capsys.readouterr().out.split())

    assert shown.index("differs by training.patience: 20 -> 3") < shown.index("training from scratch")


def test_a_setting_newer_than_a_run_has_its_default_there(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    first = configured(tmp_path)
    run_stages(first)

    (line,) = said(replace(first, training=replace(first.training, accumulate=2)), caplog)

    assert line.endswith("differs by training.accumulate: 1 -> 2")


@pytest.mark.parametrize("change", ["resumed", "other data", "no checkpoint"])
def test_nothing_is_said_where_nothing_begins_again(change: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    first = configured(tmp_path)
    run_stages(first)
    second = replace(first, training=replace(first.training, patience=3))
    if change == "resumed":
        second = replace(first, training=replace(first.training, epochs=2))
    if change == "other data":
        second = replace(second, data=DataConfig(source=write_rows(tmp_path / "b.parquet", "binary", seed=1)))
    if change == "no checkpoint":
        for path in [open_run(first).published, *open_run(first).checkpoints.iterdir()]:
            path.unlink()

    assert said(second, caplog) == []


def test_what_is_no_description_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    first = configured(tmp_path)
    runs = Path(first.runs_folder)
    for name, content in {"a": b"{", "b": b"[1]", "c": b"\xff", "d": b"[" * 100_000, "e": b"{}"}.items():
        (runs / name).mkdir(parents=True)
        (runs / name / "run.json").write_bytes(content)
    (runs / "f").mkdir()
    os.mkfifo(runs / "f" / "run.json")
    (runs / "g").symlink_to("nowhere")
    run_stages(first)

    (line,) = said(replace(first, training=replace(first.training, patience=3)), caplog)

    assert line.endswith("differs by training.patience: 20 -> 3")


def test_a_thousand_runs_cost_little_and_the_newest_are_looked_at(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    first = configured(tmp_path)
    run = open_run(first)
    run.path.mkdir(parents=True)
    describe(run, first)
    description = json.loads((run.path / "run.json").read_bytes())
    for number in range(1000):
        folder = run.path.parent / f"{number:016x}"
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints" / "epoch-0001.pth").touch()
        (folder / "run.json").write_text(json.dumps(description | {"semantics": number}))
        os.utime(folder, (number, number))
    reads: list[Path] = []
    read = nearest_run._read
    monkeypatch.setattr(nearest_run, "_read", lambda path: reads.append(path) or read(path))
    began = time.process_time()

    (line,) = said(first, caplog)

    assert time.process_time() - began < SECONDS
    assert len(reads) == MOST_READ
    assert f"{999:016x} differs by semantics: 999 -> 1" in line
