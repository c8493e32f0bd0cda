import pytest

from tests.scorecard import Scorecard, mismatch


def test_a_case_counts_by_its_outcome_and_one_that_went_wrong_fails_the_test_by_name():
    scorecard = Scorecard()
    scorecard.judge("kill points", [None, None])

    with pytest.raises(AssertionError, match="1 of 2 kill points went wrong:\nstep 3: found 1, expected 2"):
        scorecard.judge("kill points", [mismatch("step 3", 1, 2), mismatch("step 4", 2, 2)])

    assert (scorecard.tried["kill points"], scorecard.failed["kill points"]) == (4, 1)


def test_a_test_that_tried_nothing_fails():
    with pytest.raises(AssertionError, match="corruptions: nothing was tried"):
        Scorecard().judge("corruptions", [])
