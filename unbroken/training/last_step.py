"""The step that a training is at, kept where it outlives the process: a file in the memory of the machine.

A crash that comes again and again at one step is a defect of the program or of the rows of that step, which no restart mends.
The file is written for each step, without a call to the system; it is there only while a training is, or after one that was killed.
"""

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from unbroken.training.hooks import TrainHook
from unbroken.training.state import TrainState

FIELDS = 3
BYTES = 8 * FIELDS
PLACE, DEATH, DEATHS = range(FIELDS)
"""The present place, that of the last death, and how many deaths there were at that place in a row."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a training is.

    Attributes:
        steps: How many steps of the run are done.
        evaluated: Whether the epoch that they complete was evaluated.
    """

    steps: int
    evaluated: bool

    @classmethod
    def of(cls, code: int) -> "Place":
        """Return the place that a number stands for."""
        return cls(code >> 1, bool(code & 1))

    @property
    def code(self) -> int:
        """The number that stands for the place."""
        return self.steps << 1 | self.evaluated


class LastStep(TrainHook):
    """Writes down each step of a training, and says where the process before was killed."""

    reads_only: ClassVar[bool] = True

    def __init__(self, path: Path, steps: int, killed: Callable[[Place, int], None]) -> None:
        """Prepare the file.

        Args:
            path: The file.
            steps: Steps an epoch.
            killed: Called before the first step if the process before was killed: where, and how often in a row there.
        """
        self.path, self.steps, self.killed = path, steps, killed
        self.mapping: mmap.mmap | None = None

    def on_start(self, state: TrainState) -> None:
        """Take over what the process before left; the run is held by now."""
        with open(self.path, "a+b") as file:
            killed = file.seek(0, 2) == BYTES
            file.truncate(BYTES)
            self.mapping = mmap.mmap(file.fileno(), BYTES)
        self.memory = memoryview(self.mapping).cast("Q")
        if killed:
            self._note_death()
        self.memory[PLACE] = Place(state.step, state.step % self.steps == 0).code

    def on_step(self, state: TrainState, loss: Tensor) -> None:  # noqa: ARG002 (the name is the interface)
        """Write down that a step is done."""
        self.memory[PLACE] = state.step << 1

    def on_epoch(self, state: TrainState, entry: dict[str, float]) -> None:  # noqa: ARG002 (as above)
        """Write down that the epoch was evaluated."""
        self.memory[PLACE] = state.step << 1 | 1

    def close(self) -> None:
        """Remove the file: the training ended by itself, or was asked to."""
        if self.mapping is not None:
            self.memory.release()
            self.mapping.close()
            self.mapping = None
            self.path.unlink(missing_ok=True)

    def _note_death(self) -> None:
        memory = self.memory
        again = memory[DEATHS] > 0 and memory[DEATH] == memory[PLACE]
        memory[DEATH], memory[DEATHS] = memory[PLACE], memory[DEATHS] + 1 if again else 1
        self.killed(Place.of(memory[PLACE]), memory[DEATHS])
