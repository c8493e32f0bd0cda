"""What killed writers leave is gone after the next run; what others write, or wrote, stays."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.crash import forks
from tests.crash import pipeline as runs
from tests.crash.disk import Fault, Faults, Operation, watched
from unbroken import pipeline
from unbroken.serving.prediction import load_predictor
from unbroken.serving.registry import NOTHING_SEEN, Registry
from unbroken.serving.scoring import predict_files
from unbroken.storage import atomic
from unbroken.storage.artifact import Artifact
from unbroken.storage.temporary import sweep

WRITER = """
import sys, time
from pathlib import Path
from unbroken.storage import atomic
from unbroken.storage.temporary import temporary_folder
with atomic.replacing(Path(sys.argv[1]) / "file") as file, temporary_folder(Path(sys.argv[1]), "folder") as folder:
    file.write(b"half")
    file.flush()
    (folder / "part").write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""


def train(folder: Path) -> None:
    """Train a run to its end."""
    pipeline.train(runs.configure(folder))


def predict(folder: Path) -> None:
    """Score the rows of a CSV file into the folder of predictions."""
    predict_files(load_predictor(folder / "checkpoint.pth"), str(folder / "rows.csv"), folder / "out" / "new.parquet")


def decide(folder: Path) -> None:
    """Register a version and make it the champion."""
    registry = Registry(folder / "models" / "rows")
    champion = registry.pointer.champion
    parts = [Artifact.of(folder / name) for name in ("checkpoint.pth", "checkpoint.json", "profile.json")]
    registry.decide(
        registry.register(*parts),
        promote=True,
        expected_champion=champion,
        expected_watermark=NOTHING_SEEN,
        watermark=NOTHING_SEEN,
    )


def operations_of(action: Callable[[Path], None], folder: Path) -> list[Operation]:
    """Do something and return its file operations."""
    operations: list[Operation] = []
    with watched(folder, operations.append):
        action(folder)
    return operations


def killed(action: Callable[[Path], None], folder: Path, faults: Faults) -> None:
    """Do something and die in it."""
    with watched(folder, faults.judge):
        action(folder)


def temporary(folder: Path) -> list[Path]:
    return sorted(folder.rglob(".*.tmp"))


def prepared(folder: Path) -> Path:
    """Put a model, rows to score, and what a registry wants into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "runs-source").mkdir()
    runs.write_source(folder / "runs-source" / "source.parquet")
    model = pipeline.train(runs.configure(folder / "runs-source"))
    for path in (model.path, model.path.with_suffix(".json")):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "out").mkdir()
    (folder / "profile.json").write_text("{}")
    pyarrow.csv.write_csv(pq.read_table(folder / "runs-source" / "source.parquet"), folder / "rows.csv")
    return folder


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("action", "stride"),
    [
        (predict, 1),
        *(pytest.param(action, 1, marks=pytest.mark.slow) for action in (train, decide)),
    ],
)
def test_nothing_is_left_of_a_writer_killed_in_the_middle_once_the_same_has_run_again(
    action: Callable[[Path], None], stride: int, new_folder: Callable[[], Path]
) -> None:
    def fresh() -> Path:
        folder = new_folder()
        return folder if action is train else forks.value(prepared, folder)

    folder = fresh()
    operations = forks.value(operations_of, action, folder)
    renames = [index for index, operation in enumerate(operations) if operation.kind == "rename"]
    left = 0
    for index in renames[::stride]:
        folder = folder if action is predict else fresh()
        assert forks.run(killed, action, folder, Faults(index, Fault("before"))).killed
        left += len(temporary(folder))
        forks.value(action, folder)
        assert temporary(folder) == []
    assert left >= len(renames[::stride])


@pytest.mark.parametrize("kill", [False, True])
def test_a_sweep_deletes_what_a_killed_writer_left_and_nothing_of_a_living_one(kill: bool, tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        names = temporary(tmp_path)
        assert len(names) == 2
        if kill:
            writer.kill()
            writer.wait()

        sweep(tmp_path)

        assert temporary(tmp_path) == ([] if kill else names)
    finally:
        writer.kill()
        writer.communicate()


def test_a_sweep_leaves_what_has_another_name_or_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"content")
    names = [".foreign.tmp", ".x.abcd1234.tmp", "visible.unbroken.tmp", "out.parquet"]
    for name in names:
        (tmp_path / name).write_bytes(b"content")
    (tmp_path / ".link.abcd1234.unbroken.tmp").symlink_to("precious")
    names = sorted(path.name for path in tmp_path.iterdir())

    sweep(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert (tmp_path / "precious").read_bytes() == b"content"


def test_sweeps_beside_writers_never_take_a_file_from_one(tmp_path: Path) -> None:
    child = forks.start(write_often, tmp_path)
    while not child.results.poll():
        sweep(tmp_path)
    assert child.ending().error is None
    assert temporary(tmp_path) == []


def write_often(folder: Path) -> Any:
    """Write one file many times."""
    for number in range(300):
        atomic.write(folder / "file", str(number).encode())
