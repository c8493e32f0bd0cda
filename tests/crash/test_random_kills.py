"""The real command, killed at random moments and typed again."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash import forks, pipeline
from tests.crash.pipeline import Undisturbed
from tests.crash.scorecard import Scorecard

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "flows.train")
SETTINGS = {
    "data.source": "sample",
    "training.epochs": "6",
    "training.batch_size": "8",
    "training.scheduler": "OneCycleLR",
    "model.options": '{"hidden": [16], "dropout": 0.2}',
    "checkpoint.every_steps": "7",
}
MOST_KILLS = 6
"""Kills of one run before it is let to its end."""
PATIENCE = 120
"""Seconds after which a command that has not ended is hanging."""


class Run:
    """A folder and the command that trains in it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        settings = SETTINGS | {"runs_folder": str(folder)}
        self.command = [*COMMAND, *(word for name, value in settings.items() for word in (f"--{name}", value))]

    def start(self) -> subprocess.Popen[str]:
        """Type the command."""
        return subprocess.Popen(
            self.command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def finish(self) -> bytes:
        """Type the command, let it end and return the checkpoint that it published."""
        process = self.start()
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
        (published,) = self.folder.glob("*/checkpoint.pth")
        return published.read_bytes()

    def kill_within(self, draw: random.Random, before: float, during: float) -> int:
        """Type the command and kill it at a random moment of its start, or of the work that follows.

        Return 1 if it was killed, 0 if it ended before that.
        """
        process = self.start()
        journal = len(self._journal())
        in_training = draw.random() < 0.6
        deadline = time.monotonic() + PATIENCE
        while in_training and len(self._journal()) == journal and process.poll() is None:
            assert time.monotonic() < deadline, "the command hangs"
            time.sleep(0.002)
        time.sleep(draw.uniform(0, during if in_training else before))
        process.kill()
        process.communicate(timeout=PATIENCE)
        return int(process.returncode == -signal.SIGKILL)

    def _journal(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.folder.glob("*/journal.jsonl"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, command_environment: dict[str, str]) -> bytes:
    return Run(tmp_path_factory.mktemp("expected"), command_environment).finish()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", [pytest.param(20), pytest.param(60, marks=pytest.mark.slow)])
def test_a_command_killed_at_random_moments_and_typed_again_ends_with_the_same_bytes(
    kills: int, tmp_path: Path, command_environment: dict[str, str], expected: bytes, scorecard: Scorecard
) -> None:
    killed, failures, draw = 0, [], random.Random(kills)
    while killed < kills:
        run = Run(tmp_path / str(killed), command_environment)
        tries = [run.kill_within(draw, before=4.0, during=1.0) for _ in range(min(MOST_KILLS, kills - killed))]
        killed += sum(tries)
        failures += [] if run.finish() == expected else [f"run that was killed as its {killed}th"]
    scorecard.judge("random-time SIGKILLs", failures, killed)


@pytest.mark.parametrize("kills", [pytest.param(20), pytest.param(200, marks=pytest.mark.slow)])
def test_a_library_run_killed_at_random_moments_ends_with_the_same_bytes(
    kills: int, new_folder: Callable[[], Path], undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    killed, failures, draw = 0, [], random.Random(kills)
    while killed < kills:
        folder, moments = new_folder(), [draw.uniform(0, 0.4) for _ in range(MOST_KILLS)]
        killed += sum(forks.start(pipeline.complete, folder).kill_after(moment) for moment in moments)
        found = forks.run(pipeline.complete, folder)
        failures += [] if found.value == undisturbed.digest else [f"{moments}: {found}"]
    scorecard.judge("random-time SIGKILLs", failures, killed)
