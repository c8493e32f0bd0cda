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
    ended = run_in_two_workers(tmp_path)

    lines = ended.stdout.splitlines()
    assert [line.split() for line in lines if line.startswith(("bad inputs", "corruptions"))] == [
        ["corruptions", "2", "2"],
        ["bad", "inputs", "5", "0"],
    ]
    assert all(f"[{worker}]" in ended.stdout for worker in ("gw0", "gw1"))
    assert "2 failed" in lines[-1]


def test_tests_that_share_a_server_run_in_one_worker(tmp_path: Path):
    (tmp_path / "conftest.py").write_text(
        textwrap.dedent("""
        import pytest

        @pytest.fixture(scope="session")
        def served(worker_id):
            return worker_id
    """)
    )
    test = f"""
        import pytest

        @pytest.mark.parametrize("number", range(8))
        def test_it(number, served):
            with open({str(tmp_path / "log")!r}, "a") as file:
                file.write(served + "\\n")
    """
    for name in ("first", "second"):
        (tmp_path / f"test_{name}.py").write_text(textwrap.dedent(test))

    ended = run_in_two_workers(tmp_path)

    workers = (tmp_path / "log").read_text().splitlines()
    assert "16 passed" in ended.stdout
    assert workers == [workers[0]] * 16


def run_in_two_workers(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests in a folder with the plugin that all tests have, and return what pytest printed."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.conftest", "-n", "2"]
    return subprocess.run([*command, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
