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
from tests.crash.pipeline import Undisturbed
from tests.scorecard import Scorecard
from unbroken.checkpoints.store import CORRUPT, CheckpointStore
from unbroken.errors import ConfigError, LockedError, StoppedError
from unbroken.storage.journal import Journal

Folders = Callable[[], Path]


def store_in(folder: Path) -> CheckpointStore:
    """Return the store of the one run."""
    (run,) = folder.glob("runs/*")
    return CheckpointStore(run / "checkpoints", Journal(run / "journal.jsonl"))


@pytest.mark.parametrize("processes", [2, 5])
def test_processes_that_train_the_same_run_at_once_all_end_with_the_same_bytes(
    processes: int, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    folder = new_folder()
    children = [forks.start(pipeline.complete, folder) for _ in range(processes)]
    endings = [child.ending() for child in children]
    trained = [event for event in store_in(folder).journal.events() if event["event"] == "started"]
    assert len(trained) == 1
    wrong = [str(ending) for ending in endings if ending.value != undisturbed.digest]
    scorecard.judge("racing processes", wrong, processes)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("processes", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_commands_typed_at_once_all_end_with_the_same_bytes(
    processes: int, expected: Command, tmp_path: Path, scorecard: Scorecard
) -> None:
    command = Command(tmp_path / "runs", expected.environment)
    started = [command.start() for _ in range(processes)]
    outputs = [command.end_of(process) for process in started]
    assert command.published == expected.published
    scorecard.judge(
        "racing processes", [output for output in outputs if "restored and verified" not in output], processes
    )


def test_who_does_not_want_to_wait_is_told_and_who_waits_goes_on_from_where_the_other_ended(
    new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    folder = new_folder()
    first = forks.start(surroundings.stopped, folder, 8)
    surroundings.wait_until_stopped(first.pid)
    refused = forks.run(surroundings.impatient, folder)
    assert isinstance(refused.error, LockedError)
    assert str(folder) in str(refused.error)
    waiting = forks.start(pipeline.complete, folder)
    assert not waiting.results.poll(1.0)
    os.kill(first.pid, signal.SIGCONT)
    endings = [first.ending(), waiting.ending()]
    scorecard.judge("racing processes", [str(end) for end in endings if end.value != undisturbed.digest], 3)


def test_a_stopped_process_that_wakes_after_another_took_over_writes_nothing(
    new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    """As on a network file system that forgets the lock of a process it has not heard of for long."""
    folder = new_folder()
    sleeper = forks.start(surroundings.stopped, folder, 8)
    surroundings.wait_until_stopped(sleeper.pid)
    (run,) = folder.glob("runs/*")
    (run / "lock").unlink()
    assert forks.value(pipeline.complete, folder) == undisturbed.digest
    written = {path: path.stat().st_mtime_ns for path in run.rglob("*.pth")}
    os.kill(sleeper.pid, signal.SIGCONT)
    ending = sleeper.ending()
    assert surroundings.other_took_over(ending.error), ending
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*.pth")} == written
    scorecard.judge("racing processes", [], 2)


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
    found = forks.value(pipeline.complete, folder)
    wrong = [] if (saved, found) == (reached, undisturbed.digest) else [f"{number}, {step}: {newest}, {found}"]
    scorecard.judge("hostile surroundings", wrong, 1)


def test_a_training_stopped_by_a_signal_is_never_taken_for_finished(
    new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    folder = new_folder()
    ending = forks.run(surroundings.signalled_with_own_handler, folder, 8)
    assert isinstance(ending.error, StoppedError)
    assert "SIGTERM" in str(ending.error)
    assert forks.value(pipeline.complete, folder) == undisturbed.digest
    scorecard.judge("hostile surroundings", [], 1)


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
    assert command.finish() == expected.published
    scorecard.judge("hostile surroundings", [], 1)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT], ids=errno.errorcode.get)
@pytest.mark.parametrize("place", [52, *(pytest.param(place, marks=pytest.mark.slow) for place in range(44, 100, 6))])
def test_a_disk_that_stays_broken_stops_the_training_with_the_last_checkpoint_whole(
    number: int, place: int, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    folder = new_folder()
    ending = forks.run(pipeline.complete_with_faults, folder, Faults(place, Fault("before", number), again=True))
    assert isinstance(ending.error, OSError)
    assert (ending.error.errno, str(folder) in str(ending.error)) == (number, True)
    found = forks.value(pipeline.complete, folder)
    scorecard.judge("failing operations", [] if found == undisturbed.digest else [f"{place}: {found}"], 1)


@pytest.mark.parametrize(
    "share", [pytest.param(0.7, marks=pytest.mark.slow), 0.8, pytest.param(0.95, marks=pytest.mark.slow)]
)
def test_a_full_or_read_only_disk_stops_the_training_and_with_space_the_same_command_goes_on(
    share: float, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    disk = int(share * undisturbed.kibibytes)
    full, read_only, kept, found = forks.value(surroundings.on_a_disk_of, new_folder(), disk)
    assert isinstance(full, OSError)
    assert (full.errno, "epoch-" in str(full.filename)) == (errno.ENOSPC, True)
    assert isinstance(read_only, ConfigError)
    assert "not writable" in str(read_only)
    assert kept
    assert all(name.startswith("epoch-") for name in kept)
    scorecard.judge("hostile surroundings", [] if found == undisturbed.digest else [found], 2)


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 6, 9])
def test_a_training_that_the_kernel_kills_for_want_of_memory_resumes_to_the_same_bytes(
    step: int, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    folder, name = new_folder(), f"unbroken-{os.getpid()}-{step}"
    assert forks.run(memory_limit.exceeded, folder, step, name).killed
    assert memory_limit.MemoryLimit(name).kills() == 1
    found = forks.value(pipeline.complete, folder)
    scorecard.judge("hostile surroundings", [] if found == undisturbed.digest else [found], 1)


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow), pytest.param(14, marks=pytest.mark.slow)])
def test_a_training_whose_folder_was_deleted_says_so_and_the_next_begins_anew(
    step: int, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    folder = new_folder()
    ending = forks.run(surroundings.deleted, folder, step)
    assert isinstance(ending.error, LockedError | OSError), ending
    found = forks.value(pipeline.complete, folder)
    scorecard.judge("hostile surroundings", [] if found == undisturbed.digest else [found], 1)


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
    (checkpoints / ".planted.tmp").symlink_to(victim)
    found = forks.value(pipeline.complete, folder)
    aside = [path.with_name(path.name + CORRUPT) for path in planted.values()]
    assert all(os.path.lexists(path) for path in aside)
    assert victim.read_text() == "not to be touched"
    scorecard.judge("hostile surroundings", [] if found == undisturbed.digest else [found], len(planted) + 1)


def test_a_clock_that_jumps_changes_when_checkpoints_are_written_and_nothing_else(
    new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    found = forks.value(surroundings.with_a_jumping_clock, new_folder())
    scorecard.judge("hostile surroundings", [] if found == undisturbed.digest else [found], 1)
