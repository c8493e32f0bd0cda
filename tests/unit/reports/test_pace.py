"""What a progress says: where the training is, its loss, and, as soon as they are known, rate and time left."""

import pytest

from unbroken.reports.pace import Pace, duration
from unbroken.training.progress import Progress


def progress(epoch: int, rows: int) -> Progress:
    return Progress(epoch=epoch, epochs=10, step=rows // 10, steps=100, rows=rows, total_rows=1000, loss=0.51239)


def test_the_rate_and_the_time_left_are_those_of_this_attempt():
    times = iter([100.0, 110.0])
    pace = Pace(clock=lambda: next(times))

    pace.add(progress(4, 500))  # resumed there
    first = pace.words(progress(4, 500))
    pace.add(progress(6, 500))

    assert first == "epoch 4 of 10, 500 of 1,000 rows, loss 0.5124"
    assert pace.words(progress(6, 500)) == "epoch 6 of 10, 500 of 1,000 rows, loss 0.5124, 200 rows/s, about 22 s left"


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (119, "119 s"), (600, "10 min"), (9000, "2.5 h")])
def test_a_time_has_the_unit_that_suits_it(seconds: float, words: str):
    assert duration(seconds) == words
