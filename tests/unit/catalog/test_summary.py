"""What a person sees of runs at a glance is what is true of them."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from torch import Tensor

from tests.unit.catalog.runs import settings, trained
from unbroken.catalog.summary import RunFolder, RunSummary
from unbroken.cli.main import answer
from unbroken.pipeline import train
from unbroken.run import open_run
from unbroken.storage.lock import exclusive
from unbroken.training.hooks import TrainHook
from unbroken.training.state import TrainState


def summary_of(run: Path) -> RunSummary:
    return RunFolder(run).summary()


class Stop(TrainHook):
    """Stops a training in the middle of its second epoch."""

    def on_step(self, state: TrainState, loss: Tensor) -> None:
        if state.step == 3:
            raise KeyboardInterrupt


def stopped(folder: Path) -> Path:
    config = settings(folder)
    with pytest.raises(KeyboardInterrupt):
        train(config, hooks=[Stop()])
    return open_run(config).path


def test_a_finished_run_shows_its_epochs_data_and_best_metric(tmp_path: Path):
    run = trained(tmp_path, name="first")
    summary, history = summary_of(run), json.loads((run / "checkpoint.json").read_text())["history"]
    assert (summary.state, summary.epochs, summary.asked, summary.name) == ("finished", 2, 2, "first")
    assert (summary.source, summary.label, summary.model) == ("sample", "label", "mlp")
    assert (summary.best, summary.best_epoch) == (history[1]["test_loss"], 2)
    assert summary.size == sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
    assert RunFolder(run).history == history


def test_a_run_is_stopped_before_its_end_and_finished_after_it(tmp_path: Path):
    run = stopped(tmp_path)
    assert (summary_of(run).state, summary_of(run).epochs) == ("stopped", 1)
    trained(tmp_path)
    assert (summary_of(run).state, summary_of(run).epochs) == ("finished", 2)
    with pytest.raises(KeyboardInterrupt):
        train(settings(tmp_path, epochs=4), hooks=[StopAtFive()])
    assert (summary_of(run).state, summary_of(run).epochs, summary_of(run).asked) == ("stopped", 2, 4)


class StopAtFive(TrainHook):
    """Stops a training in its third epoch."""

    def on_step(self, state: TrainState, loss: Tensor) -> None:
        if state.step == 5:
            raise KeyboardInterrupt


def test_a_run_that_a_process_trains_says_so_and_is_not_disturbed_by_looks(tmp_path: Path):
    run = trained(tmp_path)
    with exclusive(run, wait=False):
        assert summary_of(run).state == "training"
    assert summary_of(run).state == "finished"


def test_looking_all_the_time_keeps_no_training_from_its_lock(tmp_path: Path):
    run = trained(tmp_path)
    imports = "import sys; from pathlib import Path; from unbroken.catalog.summary import is_held"
    loop = f"{imports}\nwhile True: is_held(Path(sys.argv[1]))"
    with subprocess.Popen([sys.executable, "-c", loop, str(run / "lock")]) as watcher:
        try:
            for _ in range(50):
                with exclusive(run, wait=False):
                    pass
        finally:
            watcher.send_signal(signal.SIGKILL)


def test_a_run_of_a_version_without_settings_is_shown_by_what_is_there(tmp_path: Path):
    run = trained(tmp_path)
    (run / "settings.json").unlink()
    assert summary_of(run).source == "sample"
    (run / "finished.json").unlink()
    summary = summary_of(run)
    assert (summary.state, summary.source, summary.epochs, summary.asked) == ("finished", None, 2, None)


@pytest.mark.parametrize("name", ["settings.json", "run.json", "finished.json", "journal.jsonl", "data/dataset.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\x00", b'{"config": 1, "files": 1, "schema": []}'])
def test_a_broken_file_does_not_hide_the_run(name: str, content: bytes, tmp_path: Path):
    run = trained(tmp_path)
    (run / name).write_bytes(content)
    assert summary_of(run).key == run.name


def test_the_list_has_the_newest_run_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run, other = trained(tmp_path, name="older"), trained(tmp_path, name="newer", seed=1)
    for path in [run, *run.rglob("*")]:
        os.utime(path, (0, 0))
    assert answer(["runs", "--runs_folder", str(run.parent), "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == ["newer", "older"]
    assert answer(["runs", "--runs_folder", str(run.parent)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if "finished" in line] == ["newer", "older"]
    assert other.exists()


def test_a_folder_without_runs_says_how_to_begin(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert answer(["runs", "--runs_folder", str(tmp_path)]) == 0
    assert "no run yet; begin with unbroken train" in capsys.readouterr().out


@pytest.mark.slow
def test_show_names_the_command_that_means_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = trained(tmp_path, name="first", optimizer_options={"eps": 1e-7})
    assert answer(["runs", "show", "first", "--runs_folder", str(run.parent), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["state"], len(content["history"])) == ("finished", 2)
    checkpoint = (run / "checkpoint.pth").read_bytes()
    shutil.rmtree(run)
    command = content["command"].replace("unbroken", f"{shlex.quote(sys.executable)} -m unbroken", 1)
    subprocess.run(["bash", "-c", f"{command} --no-orchestrator"], cwd=tmp_path, stdout=subprocess.DEVNULL, check=True)
    assert (run / "checkpoint.pth").read_bytes() == checkpoint


def test_comparing_shows_what_differs_and_the_metrics(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = trained(tmp_path, name="first")
    trained(tmp_path, name="second", learning_rate=0.01)
    assert answer(["runs", "compare", "first", "second", "--runs_folder", str(run.parent), "--json"]) == 0
    comparison = json.loads(capsys.readouterr().out)
    assert comparison["runs"] == ["first", "second"]
    assert comparison["settings"] == {"training.learning_rate": [0.003, 0.01]}
    assert comparison["best"]["test_loss"][1] < comparison["best"]["test_loss"][0]
    assert answer(["runs", "compare", "first", "second", "--runs_folder", str(run.parent)]) == 0
    assert "training.learning_rate" in capsys.readouterr().out
