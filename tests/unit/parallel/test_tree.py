"""The order of a sum that is dealt out: the same tree, whoever adds up which part of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbroken.parallel.tree import Node, TreeSum, leaves_of, roots_of, rows_of


class Noted:
    """A term that remembers how it was added up."""

    def __init__(self, order: object) -> None:
        self.order = order

    def add_(self, other: "Noted") -> "Noted":
        self.order = (self.order, other.order)
        return self


def added_up(parts: list[list[tuple[Node, Noted]]]) -> list[tuple[Node, Noted]]:
    total = TreeSum[Noted]()
    for part in parts:
        for node, term in part:
            list(total.add(node, term))
    return total.roots


@given(power=st.integers(0, 5), ranks=st.integers(1, 32))
def test_a_sum_has_the_same_order_however_many_ranks_add_it_up(power: int, ranks: int):
    leaves = 2**power
    ranks = min(ranks, leaves)

    alone = added_up([[(Node(0, leaf), Noted(leaf)) for leaf in range(leaves)]])
    parts = [
        added_up([[(Node(0, leaf), Noted(leaf)) for leaf in leaves_of(rank, ranks, leaves)]]) for rank in range(ranks)
    ]
    together = added_up(parts)

    assert [node for node, _ in together] == [Node(power, 0)]
    assert [term.order for _, term in together] == [term.order for _, term in alone]
    for rank, part in enumerate(parts):
        assert [node for node, _ in part] == roots_of(leaves_of(rank, ranks, leaves))


def test_a_pair_is_added_up_before_its_neighbour():
    ((_, term),) = added_up([[(Node(0, leaf), Noted(leaf)) for leaf in range(4)]])

    assert term.order == ((0, 1), (2, 3))


@pytest.mark.parametrize("size", [1, 3, 8, 100, 4096])
@pytest.mark.parametrize("leaves", [1, 2, 8, 16])
def test_each_row_of_a_batch_stands_in_one_leaf_and_the_last_leaf_is_never_empty(size: int, leaves: int):
    parts = [np.arange(*rows_of(leaf, leaves, size)) for leaf in range(leaves)]

    assert np.concatenate(parts).tolist() == list(range(size))
    assert len(parts[-1]) > 0
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
