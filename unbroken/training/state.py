"""All that a training is at one moment, as one value that can be taken and put back."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from unbroken.checkpoints.history import History
from unbroken.checkpoints.tree import Buffers, Tree, canonical
from unbroken.reproducibility.determinism import PROCESS
from unbroken.reproducibility.generators import generator_states, restore_generators


@dataclass(slots=True, kw_only=True)
class TrainState:
    """The parts of a training that change from step to step."""

    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler | None
    loss_sum: Float64[Tensor, ""]
    """The losses of the rows of the unfinished epoch, added up."""
    epoch: int = 0
    """Finished epochs."""
    step: int = 0
    """Optimizer steps since the beginning."""
    history: History = field(default_factory=list)
    """One entry a finished epoch."""

    def snapshot(self, buffers: Buffers | None = None, kept: Tree | None = None) -> Tree:
        """Return a deep copy of everything, random generators included, that later steps cannot change.

        Args:
            buffers: The memory of the snapshot before, which is then no longer whole; new memory when not given.
            kept: Further keys, or other values of these.
        """
        state = {
            "epoch": self.epoch,
            "step": self.step,
            "model_state_dict": self.model.state_dict(),
            "optimizer_state_dict": self.optimizer.state_dict(),
            "scheduler_state_dict": self.scheduler.state_dict() if self.scheduler else None,
            "rng": generator_states(self.loss_sum.device),
            "loss_sum": self.loss_sum,
            "history": self.history,
        }
        with _all_cores():
            return canonical(state | (kept or {}), (buffers or Buffers()).begin())

    def decided(self) -> Tree:
        """Return all that every process of a training has alike, not copied."""
        schedule = self.scheduler.state_dict() if self.scheduler else None
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": schedule,
            "loss_sum": self.loss_sum,
        }

    def restore(self, tree: Tree) -> None:
        """Put a snapshot back into these same objects."""
        self.model.load_state_dict(tree["model_state_dict"])
        self.optimizer.load_state_dict(tree["optimizer_state_dict"])
        if self.scheduler:
            self.scheduler.load_state_dict(tree["scheduler_state_dict"])
        self.loss_sum.copy_(tree["loss_sum"])
        self.epoch, self.step = tree["epoch"], tree["step"]
        self.history = [dict(entry) for entry in tree["history"]]
        restore_generators(tree["rng"], self.loss_sum.device)


@contextmanager
def _all_cores() -> Generator[None]:
    """Let torch copy with every core, whatever the training computes with: no bit of a copy depends on it."""
    threads = torch.get_num_threads()
    with PROCESS.settings:
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        try:
            yield
        finally:
            torch.set_num_threads(threads)
