"""The real command, killed at random moments and typed again."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash import forks, pipeline
from tests.crash.command import Command
from tests.crash.forks import Ending
from tests.crash.pipeline import Undisturbed
from tests.scorecard import Scorecard, mismatch

KILLS = 5
"""Kills of a run before it is let to its end."""


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("runs", [pytest.param(1, id="sample"), pytest.param(12, id="all", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_command_killed_at_random_moments_and_typed_again_ends_with_the_same_bytes(
    runs: int, tmp_path: Path, expected: Command, scorecard: Scorecard
) -> None:
    def outcomes(number: int) -> list[str | None]:
        command, draw, killed = Command(tmp_path / str(number), expected.environment), random.Random(number), 0
        while killed < KILLS:
            killed += command.kill_within(draw, startup=4.0, training=1.0)
        return [None if command.finish() == expected.published else f"run {number}"] * killed

    results = forks.run_all(outcomes, [(number,) for number in range(runs)])
    scorecard.judge("random-time SIGKILLs", [outcome for result in results for outcome in result])


@pytest.mark.parametrize("kills", [pytest.param(20, id="sample"), pytest.param(200, id="all", marks=pytest.mark.slow)])
def test_a_library_run_killed_at_random_moments_ends_with_the_same_bytes(
    kills: int, new_folder: Callable[[], Path], undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    outcomes, draw = list[str | None](), random.Random(kills)
    while len(outcomes) < kills:
        folder, moments = new_folder(), [draw.uniform(0, 0.4) for _ in range(KILLS)]
        killed = sum(forks.start(pipeline.complete, folder).kill_after(moment) for moment in moments)
        outcome = mismatch(f"{moments}", forks.run(pipeline.complete, folder), Ending(undisturbed.digest))
        assert killed or outcome is None, outcome
        outcomes += [outcome] * killed
    scorecard.judge("random-time SIGKILLs", outcomes)
