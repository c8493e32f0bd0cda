import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.scorecard import Scorecard, mismatch

ROOT = Path(__file__).parents[2]


def test_a_case_counts_by_its_outcome_and_one_that_went_wrong_fails_the_test_by_name():
    scorecard = Scorecard()
    scorecard.judge("kill points", [None, None])

    with pytest.raises(AssertionError, match="1 of 2 kill points went wrong:\nstep 3: found 1, expected 2"):
        scorecard.judge("kill points", [mismatch("step 3", 1, 2), mismatch("step 4", 2, 2)])

    assert (scorecard.tried["kill points"], scorecard.failed["kill points"]) == (4, 1)


def test_a_test_that_tried_nothing_fails():
    with pytest.raises(AssertionError, match="corruptions: nothing was tried"):
        Scorecard().judge("corruptions", [])


def test_the_scorecards_of_two_workers_are_printed_as_one(tmp_path: Path):
    test = """
        def test_{name}(scorecard, worker_id):
            scorecard.judge("bad inputs", [None] * {tried})
            scorecard.judge("corruptions", [worker_id])
    """
    for name, tried in {"left": 2, "right": 3}.items():
        (tmp_path / f"test_{name}.py").write_text(textwrap.dedent(test.format(name=name, tried=tried)))
    options = ["-p", "no:cacheprovider", "-p", "tests.conftest", "-n", "2"]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    lines = ended.stdout.splitlines()
    assert [line.split() for line in lines if line.startswith(("bad inputs", "corruptions"))] == [
        ["corruptions", "2", "2"],
        ["bad", "inputs", "5", "0"],
    ]
    assert all(f"[{worker}]" in ended.stdout for worker in ("gw0", "gw1"))
    assert "2 failed" in lines[-1]
