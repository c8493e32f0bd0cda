"""The ranks of a training: what each is told of the others, and what passes between them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

from torch import Tensor

Value = TypeVar("Value")


class LostRankError(ConnectionError):
    """Another rank is gone; an OSError, since it may pass: started again, the training goes on from its newest checkpoint."""


@dataclass(slots=True)
class Requests:
    """What is asked of all ranks in the same step: to end by a signal, 0 for none, and to save."""

    signal: int = 0
    save: int = 0


@runtime_checkable
class Group(Protocol):
    """Ranks 0 .. size-1, of which this process is one."""

    rank: int
    size: int
    neighbours: int
    """How many of them share this machine and its memory, this one included."""
    requests: Requests
    """What this rank asks at the next step; after it, what all ranks were asked."""

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which alone evaluates, writes and tells."""
        ...

    def from_first(self, compute: Callable[[], Value], kind: type[Value], /) -> Value:
        """Return on all ranks what rank 0 computes, however long that takes; its UnbrokenError is raised on all."""
        ...

    def meet(self) -> None:
        """Wait for all ranks, however long that takes."""
        ...

    def gather(self, content: Tensor, /) -> list[Tensor]:
        """Return the bytes of all ranks in their order, those of each as many as those of the others."""
        ...

    def broadcast(self, content: bytes, /) -> bytes:
        """Return what rank 0 has."""
        ...


@dataclass(slots=True)
class Alone:
    """One process, which is all there is."""

    rank: int = 0
    size: int = 1
    neighbours: int = 1
    requests: Requests = field(default_factory=Requests)

    @property
    def first(self) -> bool:
        """Return True."""
        return True

    def from_first(self, compute: Callable[[], Value], _: type[Value], /) -> Value:
        """Compute."""
        return compute()

    def meet(self) -> None:
        """Do nothing."""

    def gather(self, content: Tensor, /) -> list[Tensor]:
        """Return it alone."""
        return [content]

    def broadcast(self, content: bytes, /) -> bytes:
        """Return it."""
        return content
