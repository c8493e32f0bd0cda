"""The real command, killed at random moments and typed again."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash import forks, pipeline
from tests.crash.command import Command
from tests.crash.pipeline import Undisturbed
from tests.crash.scorecard import Scorecard

MOST_KILLS = 6
"""Kills of one run before it is let to its end."""


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", [pytest.param(20), pytest.param(60, marks=pytest.mark.slow)])
def test_a_command_killed_at_random_moments_and_typed_again_ends_with_the_same_bytes(
    kills: int, tmp_path: Path, expected: Command, scorecard: Scorecard
) -> None:
    killed, failures, draw = 0, [], random.Random(kills)
    while killed < kills:
        run = Command(tmp_path / str(killed), expected.environment)
        tries = [run.kill_within(draw, before=4.0, during=1.0) for _ in range(min(MOST_KILLS, kills - killed))]
        killed += sum(tries)
        failures += [] if run.finish() == expected.published else [f"run that was killed as its {killed}th"]
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
