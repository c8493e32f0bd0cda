"""A sum in the order of a binary tree, whichever process adds up which of its parts.

Floating-point addition is not associative: so that a sum has the same bits however its terms are dealt out, the tree is fixed
by the number of terms, and only complete subtrees are added up ahead.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar


class Term(Protocol):
    """What can be added up in place."""

    def add_(self, other: Self, /) -> Self:
        """Add another one to this one, which is returned."""
        ...


AnyTerm = TypeVar("AnyTerm", bound=Term)


@dataclass(frozen=True, slots=True)
class Node:
    """A place in the tree: that of the leaves index * 2**level .. (index + 1) * 2**level - 1."""

    level: int
    index: int

    @property
    def parent(self) -> "Node":
        """The node that this one and its sibling make."""
        return Node(self.level + 1, self.index // 2)

    def completes(self, left: "Node") -> bool:
        """Tell whether this is the right sibling of a node."""
        return self.level == left.level and self.index % 2 == 1 and self.index == left.index + 1


class TreeSum(Generic[AnyTerm]):
    """Adds up terms that come in the order of the tree, each complete subtree as soon as it is there."""

    def __init__(self) -> None:
        self.roots: list[tuple[Node, AnyTerm]] = []
        """The complete subtrees so far, from left to right."""

    def add(self, node: Node, term: AnyTerm) -> Iterator[AnyTerm]:
        """Take up the sum of a subtree, and yield each term that is not needed any more."""
        while self.roots and node.completes(self.roots[-1][0]):
            _, left = self.roots.pop()
            left.add_(term)
            yield term
            node, term = node.parent, left
        self.roots.append((node, term))


def leaves_of(rank: int, ranks: int, leaves: int) -> range:
    """Return the leaves that a rank adds up; neighbours, so that they make large subtrees."""
    return range(leaves * rank // ranks, leaves * (rank + 1) // ranks)


def roots_of(leaves: range) -> list[Node]:
    """Return the complete subtrees that some neighbouring leaves make, from left to right."""
    roots: list[Node] = []
    for leaf in leaves:
        node = Node(0, leaf)
        while roots and node.completes(roots[-1]):
            node = roots.pop().parent
        roots.append(node)
    return roots


def rows_of(leaf: int, leaves: int, size: int) -> tuple[int, int]:
    """Return the first row of a leaf in a batch of so many, and the row after its last; fewer rows than leaves leave some empty."""
    return size * leaf // leaves, size * (leaf + 1) // leaves
