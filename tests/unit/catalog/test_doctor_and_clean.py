"""What is wrong with runs is named with the way out, and only what nobody needs is deleted."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.catalog.runs import settings, trained
from unbroken.catalog.cleaning import delete
from unbroken.cli.main import answer
from unbroken.config import StartConfig
from unbroken.errors import LockedError
from unbroken.pipeline import train
from unbroken.serving.registry import Registry
from unbroken.storage.artifact import Artifact
from unbroken.storage.lock import exclusive

DAY = 86400


def runs(folder: Path, *words: str) -> int:
    """Ask about the runs of a test's folder."""
    question, *rest = words
    return answer(["runs", question, "--runs_folder", str(folder / "runs"), *rest])


def age(run: Path, days: float) -> None:
    """Make all of a run look as if it had been written long ago."""
    then = time.time() - days * DAY
    for path in [*run.rglob("*"), run]:
        os.utime(path, (then, then))


def promote(run: Path, registry: Registry) -> None:
    """Make what a run published the champion of a model."""
    published, manifest = Artifact.of(run / "checkpoint.pth"), Artifact.of(run / "checkpoint.json")
    registry.promote(registry.register(published, manifest, profile=manifest).digest)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_whole_runs_have_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    trained(tmp_path)
    trained(tmp_path, seed=1)
    assert runs(tmp_path, "doctor") == 0
    assert said(capsys) == "2 runs examined: 0 faults, 0 notes"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("checkpoint.pth", "not the file that was saved"),
        ("data/train.parquet", "changed since it was made"),
        ("data/scaler.json", "changed since it was made"),
        ("checkpoints/epoch-0002.*.pth", ""),
        ("code.json", ""),
        ("finished.json", "not a whole Finished"),
    ],
)
def test_a_damaged_file_is_named(name: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = trained(tmp_path)
    (path,) = run.glob(name)
    path.write_bytes(path.read_bytes()[:-40])
    if name == "code.json":
        (run / "journal.jsonl").unlink()
    assert runs(tmp_path, "doctor") == 1
    shown = said(capsys)
    assert f"FAULTY {path}" in shown
    assert text in shown or name == "checkpoint.pth"


def test_what_is_harmless_is_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = trained(tmp_path)
    (run / ".data.x1.unbroken.tmp").write_bytes(b"half")
    (run / "checkpoints/epoch-0001.0123456789abcdef.pth.corrupt").write_bytes(b"bad")
    with (run / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"time": "2026')
    assert runs(tmp_path, "doctor", run.name) == 0
    shown = said(capsys)
    assert "left by a writer that was killed" in shown
    assert "a corrupt checkpoint that was set aside" in shown
    assert "1 of 5 lines were cut off or changed" in shown


def test_nothing_is_deleted_without_yes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    old, new = trained(tmp_path, name="old"), trained(tmp_path, name="new", seed=1)
    age(old, 40)
    assert runs(tmp_path, "clean") == 0
    shown = said(capsys)
    assert "may go old: finished" in shown
    assert "1 of 2 runs" in shown
    assert old.exists()
    assert runs(tmp_path, "clean", "--yes") == 0
    assert "deleted old" in said(capsys)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_run_of_this_hour_goes_only_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = trained(tmp_path)
    assert runs(tmp_path, "clean", "--older_than_days", "0", "--yes") == 0
    assert run.exists()
    assert runs(tmp_path, "clean", run.name, "--yes") == 0
    assert not run.exists()
    assert "deleted" in said(capsys)


def test_a_champion_a_parent_and_a_run_in_training_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = trained(tmp_path, name="parent")
    config = settings(tmp_path, name="child", seed=1)
    child = train(replace(config, start=StartConfig(warm_from=str(run / "checkpoint.pth")))).path.parent
    promote(child, Registry(tmp_path / "models" / "delay"))
    models = str(tmp_path / "models")
    assert runs(tmp_path, "clean", "parent", "child", "--models_folder", models, "--yes") == 1
    shown = said(capsys)
    assert f"stays parent: {child} started from it" in shown
    assert "stays child: the champion of delay" in shown
    with exclusive(run, wait=False), pytest.raises(LockedError, match="has begun to train it; it stays"):
        delete(run)
    assert run.exists()
    assert child.exists()


def test_a_killed_deletion_leaves_the_run_or_none_of_it(tmp_path: Path):
    run = trained(tmp_path)
    code = (
        "import os, shutil, sys; from pathlib import Path; from unbroken.catalog import cleaning\n"
        "cleaning.shutil.rmtree = lambda path: os.kill(os.getpid(), 9)\n"
        "cleaning.delete(Path(sys.argv[1]))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(run)], check=False).returncode == -9
    assert not run.exists()
    assert [path.name.startswith(f".{run.name}.") for path in run.parent.iterdir()] == [True]
    other = trained(tmp_path, seed=1)
    delete(other)
    assert list(run.parent.iterdir()) == []
