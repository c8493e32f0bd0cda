"""A run that other code began is not gone on with in silence."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from tests.contract import Stopped, run_stages
from tests.edited import EditedLibrary
from unbroken.code import record
from unbroken.config import Config, DataConfig, ModelConfig, ResumeConfig, TrainingConfig
from unbroken.errors import CodeChangedError
from unbroken.run import Run, open_run
from unbroken.storage.journal import Journal
from unbroken.training.hooks import TrainHook
from unbroken.training.state import TrainState

SPREAD = ("models/mlp.py", "SPREAD = 4.0", "SPREAD = 4.5")
DOCSTRING = ("models/mlp.py", '"""The ', '"""Here: the ')
SETTINGS = ("--data.source", "sample", "--model.options", '{"hidden": [8]}', "--training.epochs", "4")


def config(folder: Path, epochs: int = 4) -> Config:
    return Config(
        data=DataConfig(source="sample"),
        model=ModelConfig(options={"hidden": [8]}),
        training=TrainingConfig(epochs=epochs),
        runs_folder=str(folder / "runs"),
    )


class StopInThirdEpoch(TrainHook):
    """Ends a training right after the first step of its third epoch."""

    def on_step(self, state: TrainState, loss: Tensor) -> None:
        if state.epoch == 2:
            raise Stopped


def stopped(config: Config) -> Run:
    """Train two of four epochs."""
    with pytest.raises(Stopped):
        run_stages(config, [StopInThirdEpoch()])
    return open_run(config)


def train(library: EditedLibrary, folder: Path, *arguments: str) -> tuple[int, str]:
    """Train the run by an edited library; return the exit code and all it says, spaces made one."""
    ended = library.run("train", "--no-orchestrator", *SETTINGS, "--runs_folder", str(folder / "runs"), *arguments)
    return ended.returncode, " ".join((ended.stdout + ended.stderr).split())


def files(run: Run) -> dict[str, bytes]:
    """Return the checkpoints and what is written beside them."""
    paths = [*run.checkpoints.glob("*"), run.journal, run.code]
    return {path.name: path.read_bytes() for path in paths}


def code_record(run: Run) -> record.CodeRecord:
    return record.CodeRecord.read(run.code, Journal(run.journal))


def segments(run: Run) -> list[tuple[int, int]]:
    return [(segment.epoch, segment.step) for segment in code_record(run).segments]


def test_an_exact_run_has_one_segment_which_its_lineage_names(tmp_path: Path):
    run = stopped(config(tmp_path))
    run_stages(config(tmp_path))

    assert segments(run) == [(0, 0)]
    lineage = json.loads(run.manifest.read_text())["lineage"]
    assert lineage["exact"] is True
    assert lineage["code"] == json.loads(run.code.read_text())["segments"]
    assert lineage["code"][0]["code"]["torch"] == record.installed_version("torch")
    assert "models/mlp.py" in lineage["code"][0]["code"]["modules"]


def test_an_edited_constant_is_refused_with_both_codes_the_module_and_the_ways_out(tmp_path: Path):
    run = stopped(config(tmp_path))
    previous = files(run)

    code, text = train(EditedLibrary.copy(tmp_path / "new").edit(*SPREAD), tmp_path)

    assert code == 2
    digest = record.present_code("mlp").digest
    assert f"it was trained by unbroken {record.installed_version('unbroken')} (code {digest}" in text
    assert "what differs: models/mlp.py" in text
    assert "--resume.accept_code true" in text
    assert "runs_folder" in text
    assert "Traceback" not in text
    assert files(run) == previous


def test_accepted_code_goes_on_is_journalled_and_makes_the_run_not_exact(tmp_path: Path):
    run = stopped(config(tmp_path))
    library = EditedLibrary.copy(tmp_path / "new").edit(*SPREAD)

    code, text = train(library, tmp_path, "--resume.accept_code", "true")

    assert code == 0, text
    assert "what differs: models/mlp.py: from here on the run is not exact" in text
    assert segments(run)[0] == (0, 0)
    assert segments(run)[1][0] == 2
    (changed,) = [event for event in Journal(run.journal).events() if event["event"] == "code changed"]
    assert changed["epoch"] == 2
    assert "models/mlp.py" in changed["reason"]
    lineage = json.loads(run.manifest.read_text())["lineage"]
    assert lineage["exact"] is False
    first, second = (segment["code"] for segment in lineage["code"])
    assert record.differing(first["modules"], second["modules"]) == ["models/mlp.py"]


@pytest.mark.slow
def test_more_epochs_of_a_finished_run_are_a_resume(tmp_path: Path):
    run_stages(config(tmp_path, epochs=2))

    code, text = train(EditedLibrary.copy(tmp_path / "new").edit(*SPREAD), tmp_path)

    assert code == 2
    assert "what differs: models/mlp.py" in text


@pytest.mark.slow
def test_an_edited_docstring_goes_on_to_the_same_bytes(tmp_path: Path):
    run = stopped(config(tmp_path))
    undisturbed = run_stages(config(tmp_path / "undisturbed"))

    code, text = train(EditedLibrary.copy(tmp_path / "new").edit(*DOCSTRING), tmp_path)

    assert code == 0, text
    assert segments(run) == [(0, 0)]
    assert run.published.read_bytes() == Path(undisturbed.path).read_bytes()


def test_another_torch_is_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stopped(config(tmp_path))
    version = record.installed_version("torch")
    monkeypatch.setattr(record, "installed_version", lambda name: "9.9" if name == "torch" else "0")

    with pytest.raises(CodeChangedError, match=rf"torch {version.replace('+', '.')}\), this is .*torch 9.9\)"):
        run_stages(config(tmp_path))


def test_a_run_without_a_record_is_gone_on_with_only_when_accepted(tmp_path: Path):
    run = stopped(config(tmp_path))
    run.code.unlink()
    undisturbed = run_stages(config(tmp_path / "undisturbed"))

    with pytest.raises(CodeChangedError, match="carries no digest of the code that trained it, this is unbroken"):
        run_stages(config(tmp_path))
    resumed = run_stages(replace(config(tmp_path), resume=ResumeConfig(accept_code=True)))

    assert resumed.digest == undisturbed.digest
    assert segments(run)[0] == (0, 0)
    assert code_record(run).segments[0].code is None
    assert json.loads(run.manifest.read_text())["lineage"]["exact"] is False


def test_another_machine_is_noted_and_begins_a_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = stopped(config(tmp_path))
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")

    run_stages(config(tmp_path))

    (changed,) = [event for event in Journal(run.journal).events() if event["event"] == "numerics changed"]
    assert {"name": "MKL_CBWR", "before": None, "now": "COMPATIBLE"}.items() <= changed.items()
    assert [(segment.machine or {}).get("MKL_CBWR") for segment in code_record(run).segments] == [
        None,
        "COMPATIBLE",
    ]


def test_accepting_is_no_part_of_what_names_a_run(tmp_path: Path):
    accepting = replace(config(tmp_path), resume=ResumeConfig(accept_code=True))

    assert open_run(accepting).key == open_run(config(tmp_path)).key


@pytest.mark.parametrize("place", [40, 200, 900])
def test_a_damaged_record_is_taken_from_the_journal_and_mended(place: int, tmp_path: Path):
    run_stages(config(tmp_path, epochs=1))
    run = open_run(config(tmp_path))
    whole = run.code.read_bytes()
    run.code.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])

    run_stages(config(tmp_path, epochs=2))

    assert run.code.read_bytes() == whole
