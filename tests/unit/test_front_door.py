"""`import unbroken`: light, complete, and as resumable as the command."""

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import unbroken
from tests.contract import stopping_after, write_rows
from unbroken.storage.journal import Journal

IMPORT_SECONDS = 0.1


def configured(folder: Path, epochs: int = 2) -> unbroken.Config:
    source = write_rows(folder / "rows.parquet", "binary")
    return unbroken.Config(
        data=unbroken.DataConfig(source=source),
        training=unbroken.TrainingConfig(epochs=epochs, batch_size=32),
        runs_folder=str(folder / "runs"),
    )


def test_importing_the_package_imports_neither_torch_nor_prefect_nor_pyarrow():
    code = "import sys, unbroken; print({'torch', 'prefect', 'pyarrow', 'pandas', 'pydantic', 'sklearn'} & set(sys.modules))"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "set()"


def test_importing_the_package_costs_under_a_tenth_of_a_second():
    code = "import time; began = time.process_time(); import unbroken; print(time.process_time() - began)"

    seconds = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]

    assert min(seconds) < IMPORT_SECONDS


@pytest.mark.parametrize("name", unbroken.__all__)
def test_every_name_of_the_front_door_is_there(name: str):
    assert getattr(unbroken, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'unbroken' has no attribute 'fit'"):
        _ = unbroken.fit


def test_a_trained_model_tells_where_it_lies_and_how_good_it_is_and_predicts(tmp_path: Path):
    config = configured(tmp_path)

    model = unbroken.train(config)

    assert model.path.name == "checkpoint.pth"
    assert [entry["epoch"] for entry in model.history] == [1, 2]
    published = model.history[model.epoch - 1]
    assert {name for name in model.metrics if name not in published} == {
        "test_loss",
        "test_accuracy",
        "test_auroc",
        "test_f1",
    }
    assert model.metrics | published == published | model.metrics
    table = pq.read_table(config.data.source)
    assert model.predict(table).equals(unbroken.load(str(model.path)).predict(table))


def test_training_again_does_nothing_and_more_epochs_train_on(tmp_path: Path):
    config = configured(tmp_path)
    once, again = unbroken.train(config), unbroken.train(config)
    (run,) = (tmp_path / "runs").iterdir()
    events = [event["event"] for event in Journal(run / "journal.jsonl").events()]

    longer = unbroken.train(configured(tmp_path, epochs=3))

    assert once == again
    assert events.count("started") == 1
    assert longer.path == once.path
    assert [entry["epoch"] for entry in longer.history] == [1, 2, 3]


def test_a_training_stopped_anywhere_and_called_again_has_the_bytes_of_one_never_stopped(tmp_path: Path):
    undisturbed = unbroken.train(configured(tmp_path / "undisturbed"))
    for steps in (2, 5):
        with stopping_after(steps):
            unbroken.train(configured(tmp_path / "disturbed"))

    resumed = unbroken.train(configured(tmp_path / "disturbed"))

    assert resumed.path.read_bytes() == undisturbed.path.read_bytes()
    assert resumed.history == undisturbed.history


def test_a_finished_training_is_answered_without_torch_and_prefect_and_changes_nothing(tmp_path: Path):
    config = configured(tmp_path)
    model = unbroken.train(config)
    changed = {path: path.stat().st_mtime_ns for path in model.path.parent.rglob("*")}
    code = (
        "import sys, unbroken\n"
        "data, training = unbroken.DataConfig(source=sys.argv[1]), unbroken.TrainingConfig(epochs=2, batch_size=32)\n"
        "model = unbroken.train(unbroken.Config(data=data, training=training, runs_folder=sys.argv[2]))\n"
        "print(model.digest, {'torch', 'prefect'} & sys.modules.keys())"
    )

    command = [sys.executable, "-c", code, config.data.source, config.runs_folder]
    result = subprocess.run(command, capture_output=True, text=True, check=True)

    assert result.stdout == f"{model.digest} set()\n"
    assert {path: path.stat().st_mtime_ns for path in model.path.parent.rglob("*")} == changed


def test_retraining_crowns_a_champion_then_finds_nothing_new_and_the_champion_scores_a_file(tmp_path: Path):
    source = write_rows(tmp_path / "arriving" / "first.parquet", "binary", rows=4000)
    models, target = tmp_path / "models", tmp_path / "predictions.parquet"
    training = unbroken.Config(
        data=unbroken.DataConfig(source=str(tmp_path / "arriving")), runs_folder=str(tmp_path / "runs")
    )
    config = unbroken.RetrainConfig(model="rows", models_folder=str(models), train=training)

    decision, again = unbroken.retrain(config), unbroken.retrain(config)
    predictions = unbroken.predict(
        unbroken.PredictConfig(model=str(models / "rows"), source=source, target=str(target))
    )

    assert decision is not None
    assert decision.verdict.promote
    assert again is None
    assert (predictions.rows, predictions.model) == (4000, decision.champion)
    assert pq.read_table(target).equals(unbroken.load(str(models / "rows")).predict(pq.read_table(source)))


def test_progress_is_reported(tmp_path: Path):
    reports = []

    unbroken.train(configured(tmp_path), report=reports.append)

    assert {report.epoch for report in reports} == {1, 2}
    assert reports[-1].step == reports[-1].steps


def test_a_source_that_is_missing_is_a_data_error_and_leaves_nothing(tmp_path: Path):
    config = unbroken.Config(
        data=unbroken.DataConfig(source=str(tmp_path / "nowhere.parquet")), runs_folder=str(tmp_path / "runs")
    )

    with pytest.raises(unbroken.DataError, match=r"nowhere\.parquet"):
        unbroken.train(config)

    assert list(tmp_path.iterdir()) == []
