"""Orders: each a bijection, any stretch of one computed alone, and none favoured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbroken.data.permutation import SORTED_ROWS, Permutation, derive

SIZES = st.one_of(
    st.integers(1, 300), st.integers(SORTED_ROWS - 2, SORTED_ROWS + 300), st.sampled_from([2**16, 2**16 + 1, 99_991])
)
KEYS = st.integers(0, 2**64 - 1)

CHI_SQUARE_999 = {99: 148.2}
"""The value that a chi-square variable of so many degrees of freedom passes once in a thousand times."""


@given(size=SIZES, key=KEYS)
def test_an_order_holds_every_row_once(size: int, key: int):
    order = Permutation(size, key).at(0, size)

    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(size))


@given(size=SIZES, key=KEYS, data=st.data())
def test_any_stretch_equals_that_of_the_whole(size: int, key: int, data: st.DataObject):
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))

    whole = Permutation(size, key).at(0, size)

    assert np.array_equal(Permutation(size, key).at(start, stop), whole[start:stop])


@given(size=SIZES, key=KEYS)
def test_positions_can_be_asked_for_in_any_order_and_are_left_as_they_were(size: int, key: int):
    positions = np.arange(size)[::-1].copy()

    found = Permutation(size, key).of(positions)

    assert np.array_equal(found, Permutation(size, key).at(0, size)[::-1])
    assert np.array_equal(positions, np.arange(size)[::-1])


def test_an_order_of_millions_holds_every_row_once():
    order = Permutation(3_000_017, derive(0, "order", 1)).at(0, 3_000_017)

    assert np.array_equal(np.bincount(order), np.ones(3_000_017))


@pytest.mark.parametrize("size", [100, 20_000])
def test_every_row_is_as_likely_in_every_place(size: int):
    """Chi-square over a 100-fold partition of rows and keys: what stands first, and where row 0 stands."""
    draws = 2000
    first, places = np.zeros(100), np.zeros(100)
    for epoch in range(draws):
        order = Permutation(size, derive(0, "order", epoch))
        first[order.at(0, 1)[0] * 100 // size] += 1
        places[int(np.flatnonzero(order.at(0, 100) == 0)[0]) if size == 100 else order.at(5, 6)[0] * 100 // size] += 1

    for counts in (first, places):
        assert ((counts - draws / 100) ** 2 / (draws / 100)).sum() < CHI_SQUARE_999[99]


@pytest.mark.parametrize("size", [400, 20_000])
def test_neighbours_do_not_stay_together(size: int):
    order = Permutation(size, derive(0, "order", 0)).at(0, size)

    together = int((np.abs(np.diff(order)) == 1).sum())

    assert together < 12  # two are expected, Poisson: more than eleven once in 100,000 orders


def test_epochs_seeds_and_purposes_have_orders_of_their_own():
    keys = [derive(0, "order", 0), derive(0, "order", 1), derive(1, "order", 0), derive(0, "split", 0), derive(0)]

    orders = {tuple(Permutation(50, key).at(0, 50)) for key in keys}

    assert len(set(keys)) == len(orders) == 5


def test_the_same_seed_gives_the_same_order_on_every_machine():
    """The values that were seen when the format was fixed: another order would make every checkpoint resume wrongly."""
    assert derive(0, "order", 1) == KNOWN_KEY
    assert Permutation(10, derive(0, "order", 1)).at(0, 10).tolist() == KNOWN_SMALL
    assert Permutation(1_000_000, derive(0, "order", 1)).at(0, 5).tolist() == KNOWN_LARGE


KNOWN_KEY = 16048572312236012626
KNOWN_SMALL = [5, 7, 0, 2, 4, 3, 9, 6, 1, 8]
KNOWN_LARGE = [411073, 666917, 782509, 278641, 714687]
