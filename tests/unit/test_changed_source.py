"""The source is replaced while a run reads it: one clear error, or the model of the rows that name the run."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.contract import run_stages, write_rows
from unbroken import pipeline
from unbroken.cli.main import answer
from unbroken.config import Config, DataConfig, GateConfig, ModelConfig, RetrainConfig, TrainingConfig
from unbroken.errors import DataError
from unbroken.retraining import datasets, new_data
from unbroken.run import open_run
from unbroken.serving.registry import Registry
from unbroken.stages import load_data, preprocess
from unbroken.training.inputs import TrainingInputs

Change = Callable[[Path, Path], None]


def rename(path: Path, other: Path) -> None:
    """Put another file in the place of one."""
    copy = path.with_name("copy")
    shutil.copy(other, copy)
    copy.rename(path)


def overwrite(path: Path, other: Path) -> None:
    """Write other content into a file, its size and times as they were as far as that can be."""
    status = path.stat()
    path.write_bytes(other.read_bytes())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES = [rename, overwrite]


def written(folder: Path, ending: str) -> tuple[Path, Path, Path]:
    """Write a source, the same once more, and other rows."""
    files = []
    for name, seed in (("source", 1), ("kept", 1), ("other", 2)):
        path = Path(write_rows(folder / f"{name}.parquet", "binary", seed=seed))
        if ending == "csv":
            table = pq.read_table(path)
            path = path.with_suffix(".csv")
            pyarrow.csv.write_csv(table, path)
        files.append(path)
    return files[0], files[1], files[2]


def configured(source: Path, folder: Path) -> Config:
    return Config(
        data=DataConfig(source=str(source)),
        model=ModelConfig(options={"hidden": [4]}),
        training=TrainingConfig(epochs=1, batch_size=64),
        runs_folder=str(folder / "runs"),
    )


def published(source: Path, folder: Path) -> bytes:
    """Return the checkpoint of an undisturbed run."""
    return Path(run_stages(configured(source, folder)).path).read_bytes()


def during(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, first: Callable[[], None], last: Any = None
) -> None:
    """Let something happen right before a function of a module, and something else right after it."""
    function = getattr(module, name)

    def disturbed(*arguments: Any, **options: Any) -> Any:
        first()
        result = function(*arguments, **options)
        if last is not None:
            last()
        return result

    monkeypatch.setattr(module, name, disturbed)


class Once:
    """Does something the first time it is called."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.actions = [action]

    def __call__(self) -> None:
        if self.actions:
            self.actions.pop()()


def files_of(run_folder: Path) -> set[str]:
    return {path.name for path in run_folder.rglob("*")}


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_source_replaced_before_stage_1_gives_the_run_of_the_new_rows(
    change: Change, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source, _, other = written(tmp_path, ending)
    config = configured(source, tmp_path)
    named = open_run(config)
    during(monkeypatch, load_data, "find_files", Once(lambda: change(source, other)))

    model = pipeline.train(config)

    assert model.path.parent == open_run(config).path != named.path
    assert model.path.read_bytes() == published(other, tmp_path / "undisturbed")
    assert not named.path.exists()


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("function", ["as_parquet", "check_contract"])
def test_a_source_replaced_within_stage_1_gives_no_run_of_the_old_rows(
    function: str, change: Change, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source, _, other = written(tmp_path, ending)
    config = configured(source, tmp_path)
    named = open_run(config)
    during(monkeypatch, load_data, function, Once(lambda: change(source, other)))

    model = pipeline.train(config)

    assert model.path.parent == open_run(config).path != named.path
    assert model.path.read_bytes() == published(other, tmp_path / "undisturbed")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("function", ["read_manifest", "write_assignment", "fit", "read_slices"])
def test_a_source_replaced_in_stage_2_is_one_clear_error(
    function: str, change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source, _, other = written(tmp_path, "parquet")
    config = configured(source, tmp_path)
    named = open_run(config)
    during(monkeypatch, preprocess, function, lambda: change(source, other))

    with pytest.raises(
        DataError, match=r"source\.parquet: changed since this run began: found digest \w+, expected \w+\. "
    ):
        pipeline.train(config)

    assert not {"checkpoint.pth", "finished.json"} & files_of(named.path)
    monkeypatch.undo()
    assert pipeline.train(config).path.read_bytes() == published(other, tmp_path / "undisturbed")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("module", "function"), [(preprocess, "fit"), (load_data, "check_contract")])
def test_a_source_replaced_and_put_back_is_read_again(
    module: Any, function: str, change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source, kept, other = written(tmp_path, "parquet")
    config = configured(source, tmp_path)
    back = Once(lambda: change(source, kept))
    during(monkeypatch, module, function, Once(lambda: change(source, other)), back)

    model = pipeline.train(config)

    assert not back.actions
    assert model.path.parent == open_run(config).path
    assert model.path.read_bytes() == published(kept, tmp_path / "undisturbed")


def test_a_source_that_never_rests_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, kept, _ = written(tmp_path, "parquet")
    during(monkeypatch, preprocess, "fit", lambda: rename(source, kept))

    with pytest.raises(DataError, match=r"source\.parquet: written to each time it was read"):
        pipeline.train(configured(source, tmp_path))


def test_a_source_that_is_deleted_in_stage_2_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, _, _ = written(tmp_path, "parquet")
    during(monkeypatch, preprocess, "fit", source.unlink)

    with pytest.raises(DataError, match=r"source\.parquet"):
        pipeline.train(configured(source, tmp_path))


def test_a_converted_copy_that_changed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, _, _ = written(tmp_path, "csv")
    config = configured(source, tmp_path)
    run = open_run(config)
    copy = run.data / "source-00000.parquet"
    during(monkeypatch, preprocess, "fit", lambda: rename(copy, tmp_path / "other.parquet"))
    write_rows(tmp_path / "other.parquet", "binary", seed=2)

    with pytest.raises(DataError, match=r"source-00000\.parquet: changed since this run began"):
        pipeline.train(config)


def test_a_source_replaced_once_it_was_read_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, kept, other = written(tmp_path, "parquet")
    config = configured(source, tmp_path)
    during(monkeypatch, TrainingInputs, "read", lambda: rename(source, other))

    assert pipeline.train(config).path.read_bytes() == published(kept, tmp_path / "undisturbed")


def retraining(folder: Path, **settings: Any) -> RetrainConfig:
    config = configured(folder / "in", folder)
    return RetrainConfig(
        model="rows", models_folder=str(folder / "models"), train=config, gate=GateConfig(resamples=100), **settings
    )


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("function", ["new_footers", "check_contract", "_hold_out"])
def test_new_rows_replaced_in_a_retraining_are_one_clear_error_and_move_no_watermark(
    function: str, change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = Path(write_rows(tmp_path / "other.parquet", "binary", seed=2))
    source = Path(write_rows(tmp_path / "in" / "a.parquet", "binary", seed=1))
    config, registry = retraining(tmp_path), Registry(tmp_path / "models" / "rows")
    during(monkeypatch, datasets, function, lambda: change(source, other))

    with pytest.raises(DataError, match=r"a\.parquet: changed since this run began: found digest \w+, expected \w+\. "):
        pipeline.retrain(config)

    assert registry.pointer.watermark.files == ()
    assert registry.champion() is None
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").rglob("checkpoint.pth"))
    monkeypatch.undo()
    assert pipeline.retrain(config) is not None
    assert registry.pointer.watermark.files == tuple(new_data.digest_files(new_data.find_files(str(source))))


def test_rows_of_a_cycle_replaced_before_the_models_are_compared_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_rows(tmp_path / "in" / "a.parquet", "binary", seed=1)
    other = Path(write_rows(tmp_path / "other.parquet", "binary", seed=2))

    def replace_rows() -> None:
        for path in (tmp_path / "models").rglob("test.parquet"):
            rename(path, other)

    during(monkeypatch, pipeline, "train", lambda: None, replace_rows)

    with pytest.raises(DataError, match=r"test\.parquet: changed since this run began"):
        pipeline.retrain(retraining(tmp_path))


def test_reading_is_not_repeated_where_nothing_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, _, _ = written(tmp_path, "parquet")
    config = configured(source, tmp_path)
    passes: list[None] = []
    during(monkeypatch, preprocess, "read_slices", lambda: passes.append(None))

    run_stages(config)

    assert len(passes) == 1


def test_the_command_reports_the_run_of_the_new_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    source, _, other = written(tmp_path, "parquet")
    during(monkeypatch, load_data, "find_files", Once(lambda: rename(source, other)))
    folder = tmp_path / "runs"
    settings = f'--data.source {source} --runs_folder {folder} --training.epochs 1 --model.options {{"hidden":[4]}}'

    assert answer(["train", "--no-orchestrator", *settings.split(), "--training.batch_size", "64"]) == 0

    undisturbed = run_stages(configured(other, tmp_path / "undisturbed"))
    assert undisturbed.digest in capsys.readouterr().out
