"""Power failures: of all that a disk may legally hold afterwards, nothing loses a checkpoint or passes off a torn one."""

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash import forks, pipeline, power
from tests.crash.disk import Fault, Faults, Operation, Recorder
from tests.crash.pipeline import Undisturbed
from tests.crash.power import State
from tests.scorecard import Scorecard
from unbroken.checkpoints.store import NAME, CheckpointStore
from unbroken.storage.journal import Journal
from unbroken.training.resume import newest_whole

Folders = Callable[[], Path]
Position = tuple[int, int]
NOTHING: Position = (-1, -1)

pytestmark = pytest.mark.timeout(1800)


@dataclass(frozen=True)
class Crash:
    """A state of the disk after a power failure, and the newest checkpoint that had been reported as saved."""

    after: int
    committed: Position
    state: State


@pytest.mark.parametrize("stride", [pytest.param(13, id="sample"), pytest.param(1, id="all", marks=pytest.mark.slow)])
def test_no_power_failure_loses_a_saved_checkpoint_or_passes_off_a_torn_one(
    stride: int, tmp_path: Path, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    crashes = list(crashes_of(undisturbed.operations))[::stride]
    scorecard.judge(
        "power-loss states", [judge(crash, tmp_path / "state", undisturbed.operations) for crash in crashes]
    )


@pytest.mark.parametrize("states", [pytest.param(16, id="sample"), pytest.param(200, id="all", marks=pytest.mark.slow)])
def test_a_run_resumed_after_a_power_failure_ends_with_the_same_bytes(
    states: int, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    def wrong(crash: Crash) -> str | None:
        folder = new_folder()
        power.lay_out(crash.state, folder, root_of(undisturbed.operations))
        ending = forks.run(pipeline.complete, folder)
        return None if ending.value == undisturbed.digest else f"after operation {crash.after}: {ending}"

    crashes = random.Random(states).sample(list(crashes_of(undisturbed.operations)), states)
    scorecard.judge("power-loss states", forks.run_all(wrong, [(crash,) for crash in crashes]))


@pytest.mark.parametrize("most", [pytest.param(6, id="sample"), pytest.param(999, id="all", marks=pytest.mark.slow)])
def test_a_kill_followed_by_a_power_failure_loses_nothing_either(
    most: int, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    """What a killed process could not make durable, the one that resumes must: it finds the names there already."""

    def wrong(index: int) -> str | None:
        folder = new_folder()
        recorder = Recorder(folder.with_suffix(".operations"), Faults(index, Fault("before")))
        assert forks.run(pipeline.complete_watched, folder, recorder.judge).killed
        forks.value(pipeline.complete_watched, folder, Recorder(recorder.log).judge)
        operations = recorder.operations()
        last = list(crashes_of(operations, every=False))
        failures = [judge(crash, folder / "state", operations) for crash in last]
        return next((f"killed at operation {index}: {failure}" for failure in failures if failure), None)

    # Each name that was made and is not yet durable.
    indices = [index for index, operation in enumerate(undisturbed.operations) if operation.kind == "fsync folder"]
    scorecard.judge("power-loss states", forks.run_all(wrong, [(index,) for index in indices[:most]]))


def crashes_of(operations: list[Operation], *, every: bool = True) -> Iterator[Crash]:
    """Yield each distinct state that a power failure may leave after each operation, or after the last alone."""
    disk, committed, known, draw = power.Disk(), NOTHING, set[str](), random.Random(0)
    for number, operation in enumerate(operations):
        disk.do(operation)
        committed = max(committed, acknowledged(operation))
        for state in disk.states(draw) if every or number == len(operations) - 1 else ():
            name = fingerprint(state, committed)
            if name not in known:
                known.add(name)
                yield Crash(number, committed, state)


def acknowledged(operation: Operation) -> Position:
    """Return the position of a checkpoint whose save is reported by an operation: only a durable one may be."""
    if operation.kind != "write" or not operation.path.endswith("journal.jsonl"):
        return NOTHING
    event = json.loads(operation.data)
    return (event["epoch"], event["step"]) if event["event"] == "checkpoint saved" else NOTHING


def files_written(operations: list[Operation]) -> set[bytes]:
    """Return the content of every file that was written, each to its end."""
    files: dict[str, bytes] = {}
    for operation in operations:
        if operation.kind == "write":
            files[operation.path] = files.get(operation.path, b"")[: operation.offset] + operation.data
    return set(files.values())


def judge(crash: Crash, folder: Path, operations: list[Operation]) -> str | None:
    """Open the store in a state of the disk and tell what is wrong."""
    genuine = files_written(operations)
    folder.mkdir()
    power.lay_out(crash.state, folder, root_of(operations))
    try:
        (run,) = [path for path in folder.glob("runs/*") if path.is_dir()] or [folder / "runs" / "none"]
        newest = newest_whole(CheckpointStore(run / "checkpoints", Journal(run / "journal.jsonl")))
        position = newest[0].order if newest else NOTHING
        if position < crash.committed:
            return f"after operation {crash.after}: found {position}, but {crash.committed} had been saved"
        if newest and newest[0].path.read_bytes() not in genuine:
            return f"after operation {crash.after}: {newest[0].path.name} is not what was written"
    except Exception as error:
        return f"after operation {crash.after}: {error!r}"
    finally:
        shutil.rmtree(folder)
    return None


def root_of(operations: list[Operation]) -> str:
    """Return the folder that holds the runs."""
    return str(Path(operations[0].path).parent)


def fingerprint(state: State, committed: Position) -> str:
    """Return what tells a state from another; the random parts of temporary names do not."""
    parts = [str(committed)]
    for path, content in sorted(state.items()):
        parts.append(f"{path}={content if content is None else hashlib.sha256(content).hexdigest()}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def test_the_checkpoints_of_a_run_have_names_that_the_store_knows(undisturbed: Undisturbed) -> None:
    renamed = [Path(operation.target).name for operation in undisturbed.operations if operation.kind == "rename"]
    assert sum(bool(NAME.fullmatch(name)) for name in renamed) == pipeline.EPOCHS * 3
