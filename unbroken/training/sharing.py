"""The state of rank 0, from its checkpoint or from scratch, given to all ranks before the first step."""

import io
from pathlib import Path

import torch

from unbroken.checkpoints.format import write_checkpoint
from unbroken.parallel.group import Group
from unbroken.training.hooks import Hooks
from unbroken.training.state import TrainState


def share_state(group: Group, state: TrainState, hooks: Hooks) -> None:
    """Give the state of rank 0, which calls this, to the other ranks."""
    if group.size == 1:
        return
    content = io.BytesIO()
    write_checkpoint(state.snapshot(kept=hooks.kept(state)), content)
    group.meet()  # now they may read rows, and then
    group.meet()  # have read them
    group.broadcast(content.getvalue())


def receive_state(group: Group, state: TrainState, hooks: Hooks) -> None:
    """Put the state of rank 0 into the fresh one of this rank."""
    group.meet()
    tree = torch.load(io.BytesIO(group.broadcast(b"")), weights_only=True)
    state.restore(tree)
    hooks.restore(state, tree, Path("rank 0"))
