"""Several processes, signals, stops, full and read-only disks, deleted folders, planted links, wild clocks."""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash import forks, memory_limit, pipeline, surroundings
from tests.crash.command import Command
from tests.crash.disk import Fault, Faults
from tests.crash.forks import Ending
from tests.crash.pipeline import Undisturbed
from tests.scorecard import Scorecard, mismatch
from unbroken.checkpoints.store import CORRUPT, CheckpointStore
from unbroken.errors import ConfigError, LockedError, StoppedError
from unbroken.storage.journal import Journal

Folders = Callable[[], Path]


def store_in(folder: Path) -> CheckpointStore:
    """Return the store of the one run."""
    (run,) = folder.glob("runs/*")
    return CheckpointStore(run / "checkpoints", Journal(run / "journal.jsonl"))


def unequal(case: str, ending: Ending, undisturbed: Undisturbed) -> str | None:
    """Return how a training ended other than with the bytes of the undisturbed run, None if it did not."""
    return mismatch(case, ending, Ending(undisturbed.digest))


@pytest.mark.parametrize("processes", [2, 5])
def test_processes_that_train_the_same_run_at_once_all_end_with_the_same_bytes(
    processes: int, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    folder = new_folder()
    children = [forks.start(pipeline.complete, folder) for _ in range(processes)]
    endings = [child.ending() for child in children]
    trained = [event for event in store_in(folder).journal.events() if event["event"] == "started"]
    assert len(trained) == 1
    scorecard.judge("racing processes", [unequal("process", ending, undisturbed) for ending in endings])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("processes", [2, pytest.param(5, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_commands_typed_at_once_all_end_with_the_same_bytes(
    processes: int, expected: Command, tmp_path: Path, scorecard: Scorecard
) -> None:
    command = Command(tmp_path / "runs", expected.environment)
    started = [command.start() for _ in range(processes)]
    outputs = [command.end_of(process) for process in started]
    assert command.published == expected.published
    scorecard.judge("racing processes", [None if "restored and verified" in output else output for output in outputs])


def test_who_does_not_want_to_wait_is_told_and_who_waits_goes_on_from_where_the_other_ended(
    new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    folder = new_folder()
    first = forks.start(surroundings.stopped, folder, 8)
    surroundings.wait_until_stopped(first.pid)
    refused = forks.run(surroundings.impatient, folder)
    refused_by_name = isinstance(refused.error, LockedError) and str(folder) in str(refused.error)
    waiting = forks.start(pipeline.complete, folder)
    assert not waiting.results.poll(1.0)
    os.kill(first.pid, signal.SIGCONT)
    outcomes = [unequal("process", child.ending(), undisturbed) for child in (first, waiting)]
    scorecard.judge("racing processes", [None if refused_by_name else f"not refused: {refused}", *outcomes])


def test_a_stopped_process_that_wakes_after_another_took_over_writes_nothing(
    new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    """As on a network file system that forgets the lock of a process it has not heard of for long."""
    folder = new_folder()
    sleeper = forks.start(surroundings.stopped, folder, 8)
    surroundings.wait_until_stopped(sleeper.pid)
    (run,) = folder.glob("runs/*")
    (run / "lock").unlink()
    second = unequal("second", forks.run(pipeline.complete, folder), undisturbed)
    written = {path: path.stat().st_mtime_ns for path in run.rglob("*.pth")}
    os.kill(sleeper.pid, signal.SIGCONT)
    ending = sleeper.ending()
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*.pth")} == written
    first = None if surroundings.other_took_over(ending.error) else f"went on: {ending}"
    scorecard.judge("racing processes", [first, second])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "step", [5, 6, pytest.param(1, marks=pytest.mark.slow), pytest.param(11, marks=pytest.mark.slow)]
)
def test_a_signal_saves_the_present_step_and_ends_the_training(
    number: signal.Signals, step: int, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    folder = new_folder()
    child = forks.start(surroundings.signalled, folder, step, number)
    if number == signal.SIGTERM:
        assert child.exit_code() == -signal.SIGTERM
    else:
        assert child.ending().value == "KeyboardInterrupt"
    newest = store_in(folder).entries()[0]
    # The signal comes when the next batch is due: a step later, or none when the epoch is over.
    reached = step if step % pipeline.STEPS == 0 else step + 1
    saved = newest.step or newest.epoch * pipeline.STEPS
    result = saved, forks.value(pipeline.complete, folder)
    scorecard.judge(
        "hostile surroundings", [mismatch(f"{number}, {step}: {newest}", result, (reached, undisturbed.digest))]
    )


def test_a_training_stopped_by_a_signal_is_never_taken_for_finished(
    new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    folder = new_folder()
    ending = forks.run(surroundings.signalled_with_own_handler, folder, 8)
    assert isinstance(ending.error, StoppedError)
    assert "SIGTERM" in str(ending.error)
    scorecard.judge(
        "hostile surroundings", [unequal("after the signal", forks.run(pipeline.complete, folder), undisturbed)]
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_gets_a_signal_saves_and_ends_without_a_traceback(
    number: signal.Signals, expected: Command, tmp_path: Path, scorecard: Scorecard
) -> None:
    command = Command(tmp_path / "runs", expected.environment)
    process = command.start()
    command.wait_for_journal(process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode in {-number, 128 + number}, output
    assert "Traceback" not in output
    assert not (command.run / "checkpoint.pth").exists()
    scorecard.judge(
        "hostile surroundings", [None if command.finish() == expected.published else f"{number}: other bytes"]
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT], ids=errno.errorcode.get)
@pytest.mark.parametrize("index", [52, *(pytest.param(index, marks=pytest.mark.slow) for index in range(44, 100, 6))])
def test_a_disk_that_stays_broken_stops_the_training_with_the_last_checkpoint_whole(
    number: int, index: int, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    folder = new_folder()
    ending = forks.run(pipeline.complete_with_faults, folder, Faults(index, Fault("before", number), again=True))
    assert isinstance(ending.error, OSError)
    assert (ending.error.errno, str(folder) in str(ending.error)) == (number, True)
    outcome = unequal(f"{errno.errorcode[number]} from {index}", forks.run(pipeline.complete, folder), undisturbed)
    scorecard.judge("failing operations", [outcome])


@pytest.mark.parametrize(
    "share", [pytest.param(0.7, marks=pytest.mark.slow), 0.8, pytest.param(0.95, marks=pytest.mark.slow)]
)
def test_a_full_or_read_only_disk_stops_the_training_and_with_space_the_same_command_goes_on(
    share: float, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    disk = int(share * undisturbed.kibibytes)
    full, read_only, kept, result = forks.value(surroundings.on_a_disk_of, new_folder(), disk)
    assert isinstance(full, OSError)
    assert (full.errno, "epoch-" in str(full.filename)) == (errno.ENOSPC, True)
    assert kept
    assert all(name.startswith("epoch-") for name in kept)
    refused = isinstance(read_only, ConfigError) and "not writable" in str(read_only)
    scorecard.judge(
        "hostile surroundings",
        [
            mismatch(f"full at {disk} KiB", result, undisturbed.digest),
            None if refused else f"read-only: {read_only!r}",
        ],
    )


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 6, 9])
def test_a_training_that_the_kernel_kills_for_want_of_memory_resumes_to_the_same_bytes(
    step: int, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    folder, name = new_folder(), f"unbroken-{os.getpid()}-{step}"
    assert forks.run(memory_limit.exceeded, folder, step, name).killed
    assert memory_limit.MemoryLimit(name).kills() == 1
    outcome = unequal(f"killed after step {step}", forks.run(pipeline.complete, folder), undisturbed)
    scorecard.judge("hostile surroundings", [outcome])


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow), pytest.param(14, marks=pytest.mark.slow)])
def test_a_training_whose_folder_was_deleted_says_so_and_the_next_begins_anew(
    step: int, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    folder = new_folder()
    ending = forks.run(surroundings.deleted, folder, step)
    assert isinstance(ending.error, LockedError | OSError), ending
    outcome = unequal(f"deleted after step {step}", forks.run(pipeline.complete, folder), undisturbed)
    scorecard.judge("hostile surroundings", [outcome])


def test_links_and_folders_planted_among_the_checkpoints_are_set_aside_and_never_followed(
    new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard, tmp_path: Path
) -> None:
    folder, victim = new_folder(), tmp_path / "victim"
    assert forks.run(pipeline.killed_after_step, folder, 9).killed
    checkpoints = store_in(folder).folder
    victim.write_text("not to be touched")
    planted = {number: checkpoints / f"epoch-{number}.{'0' * 16}.pth" for number in (9997, 9998, 9999)}
    planted[9997].symlink_to(victim)
    planted[9998].symlink_to(tmp_path / "nowhere")
    planted[9999].mkdir()
    leftover = checkpoints / ".planted.tmp"
    leftover.symlink_to(victim)
    assert forks.value(pipeline.complete, folder) == undisturbed.digest
    assert victim.read_text() == "not to be touched"
    aside = [path.with_name(path.name + CORRUPT) for path in planted.values()]
    outcomes = [None if os.path.lexists(path) else f"{path}: not there" for path in aside]
    outcomes.append(f"{leftover}: still there" if os.path.lexists(leftover) else None)
    scorecard.judge("hostile surroundings", outcomes)


def test_a_clock_that_jumps_changes_when_checkpoints_are_written_and_nothing_else(
    new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    ending = forks.run(surroundings.with_a_jumping_clock, new_folder())
    scorecard.judge("hostile surroundings", [unequal("jumping clock", ending, undisturbed)])
