"""A sweep of thirty trials, killed twenty times, is the sweep that nothing happened to."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.crash import forks, sweeps
from tests.scorecard import Scorecard
from unbroken.storage import atomic

KILLS, MOMENTS = 20, 30
"""How often a sweep is killed, and into how many parts the time that it takes is cut: each kill comes within two of them."""
WORKERS, SECONDS = 2, 1200
SCRIPT = (
    "import sys, pathlib; from tests.crash import sweeps; sweeps.complete(pathlib.Path(sys.argv[1]), int(sys.argv[2]))"
)
ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module", autouse=True)
def preloaded() -> None:
    """Import what a sweep needs once, if no child was forked yet."""
    forks.CONTEXT.set_forkserver_preload(["tests.crash.pipeline", "tests.crash.sweeps"])


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for folder in (undisturbed, killed):
        folder.mkdir()
        sweeps.write_source(folder)
    return undisturbed, killed


def complete(folder: Path) -> str:
    """Run the sweep of a folder to its end in a child and return the digest of the best."""
    ending = forks.start(sweeps.complete, folder).ending(SECONDS)
    assert ending.error is None, ending.error
    return ending.value


def lines_of(folder: Path) -> list[bytes]:
    return [line for path in folder.glob("sweeps/*/journal.jsonl") for line in path.read_bytes().splitlines()]


def require_sound(folder: Path) -> None:
    """Each trial is there once and over, some were pruned, and none but the best has seen the test rows."""
    lines, _ = sweeps.study(folder)
    assert Counter(line["event"] for line in lines) == {"proposed": 30, "ended": 30, "published": 1}
    states = Counter(line["state"] for line in lines if line["event"] == "ended")
    assert set(states) == {"complete", "pruned"}, states
    (sweep,) = (folder / "sweeps").iterdir()
    runs = [path for path in (sweep / "runs").iterdir() if path.is_dir()]
    assert len(runs) == 30
    assert not any((run / "checkpoint.pth").exists() for run in runs)
    assert not any("test_" in (run / "journal.jsonl").read_text() for run in runs)
    (best,) = (folder / "runs").iterdir()
    assert (best / "checkpoint.pth").is_file()
    assert '"test_metrics"' in (best / "checkpoint.json").read_text()


def test_a_sweep_killed_twenty_times_ends_with_the_study_of_one_that_was_left_alone(
    folders: tuple[Path, Path], scorecard: Scorecard
) -> None:
    undisturbed, killed = folders
    started = time.monotonic()
    digest = complete(undisturbed)
    seconds, draw = time.monotonic() - started, random.Random(1)
    moments = [draw.uniform(0, 2 * seconds / MOMENTS) for _ in range(KILLS)]
    kills = sum(forks.start(sweeps.complete, killed).kill_after(moment) for moment in moments)

    ending = complete(killed)

    require_sound(undisturbed)
    require_sound(killed)
    assert kills == KILLS
    assert sweeps.study(killed) == sweeps.study(undisturbed)
    scorecard.judge("random-time SIGKILLs", [None if ending == digest else "the best of a sweep"] * kills)


def test_a_sweep_of_two_processes_of_which_all_are_killed_ends_with_the_study_of_one_process(
    folders: tuple[Path, Path],
) -> None:
    undisturbed, killed = folders
    digest = complete(undisturbed)
    for trials in (3, 9, 15):
        process = start(killed)
        wait_for(killed, trials, process)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    process = start(killed)
    assert process.wait(SECONDS) == 0

    require_sound(killed)
    assert sweeps.study(killed) == sweeps.study(undisturbed)
    (best,) = (killed / "runs").glob("*/checkpoint.pth")
    assert atomic.digest(best) == digest


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), str(WORKERS)], cwd=ROOT)


def wait_for(folder: Path, trials: int, process: subprocess.Popen[bytes]) -> None:
    """Return when so many trials are over."""
    deadline = time.monotonic() + SECONDS
    while sum(b'"ended"' in line for line in lines_of(folder)) < trials:
        assert process.poll() is None, "ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
