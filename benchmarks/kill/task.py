"""The training that each framework does: 800 rows in batches of 32, 25 steps an epoch, 6 epochs, a network with dropout.

Each script is `python -m benchmarks.kill.with_NAME FOLDER [STEPS]`: it keeps all in FOLDER, saves at the end of each epoch or, with
STEPS, after so many steps, goes on from what it finds there, and prints the SHA-256 of the weights at its end.
"""

import hashlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

ROWS, COLUMNS, BATCH_SIZE, EPOCHS = 800, 10, 32, 6
STEPS = ROWS // BATCH_SIZE
HIDDEN, DROPOUT, LEARNING_RATE, SEED = 32, 0.2, 3e-3, 0
KILL_AT = "BENCHMARK_KILL_AT"
"""The step after which the process sends itself SIGKILL, as a variable of its environment."""
PAUSE = 0.01
"""Seconds that each step takes beside its own, so that what is saved in the background is on disk some steps later."""


def rows(count: int = ROWS) -> tuple[Tensor, Tensor]:
    """Return numbers and labels, the same ones each time."""
    generator = torch.Generator().manual_seed(SEED)
    numbers = torch.randn(count, COLUMNS, generator=generator)
    labels = (numbers.sum(1) + torch.randn(count, generator=generator) > 0).float()
    return numbers, labels


def network() -> nn.Sequential:
    """Return the network with random weights."""
    return nn.Sequential(
        nn.Linear(COLUMNS, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, 1), nn.Flatten(0)
    )


def loader() -> "DataLoader[tuple[Tensor, ...]]":
    """Return the usual shuffled loader."""
    return DataLoader(TensorDataset(*rows()), batch_size=BATCH_SIZE, shuffle=True)


def digest(model: nn.Module) -> str:
    """Return the SHA-256 of a model's weights."""
    weights = b"".join(tensor.detach().numpy().tobytes() for tensor in model.state_dict().values())
    return hashlib.sha256(weights).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a script was asked for."""

    folder: Path
    every_steps: int | None

    @classmethod
    def of_arguments(cls) -> "Job":
        """Read the command line."""
        folder = Path(sys.argv[1])
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder=folder, every_steps=int(sys.argv[2]) if len(sys.argv) > 2 else None)

    def note(self, step: int, loss: float) -> None:
        """Write down that a step of the run is done; die right after it if that was asked for.

        Args:
            step: Counted from the beginning of the run, from 1 on.
            loss: Of the step's rows.
        """
        with (self.folder / "steps").open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {step} {loss!r}\n")
        time.sleep(PAUSE)
        if step == int(os.environ.get(KILL_AT, "0")):
            os.kill(os.getpid(), signal.SIGKILL)

    def is_due(self, step: int) -> bool:
        """Tell whether to save inside an epoch after a step."""
        return self.every_steps is not None and step % self.every_steps == 0
