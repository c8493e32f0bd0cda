"""Warm start: the weights of a new run are those of a published checkpoint.

With the checkpoint's own encoder they mean the same and are copied. With a refitted one the change is folded into the
first layer. Per number let s be the old and s' the new value in 0 .. 1. Both are linear in the raw value, so

    s = a s' + b,   a = (high' - low') / (high - low),   b = (low' - low) / (high - low)

and for all of them s = A s' + c. The first layer sees SPREAD (s - 1/2), so with

    W' = W A,   bias' = bias + SPREAD W (A 1/2 + c - 1/2)

W' SPREAD (s' - 1/2) + bias' = W SPREAD (s - 1/2) + bias: the same function, up to rounding, wherever neither encoder
clips. A missing value fills in s'(fill'), where the champion saw s(fill); its indicator takes up the difference.
Categories keep their embeddings; those new to the checkpoint begin as what it took them for: unseen.
"""

from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unbroken.checkpoints.compatibility import check_weights
from unbroken.checkpoints.format import read_checkpoint
from unbroken.checkpoints.moments import check_moments
from unbroken.checkpoints.tree import Tree
from unbroken.errors import CheckpointMismatchError
from unbroken.features.encoder import MISSING_SUFFIX, UNSEEN, CategoryCodes, Encoder, NumberScale
from unbroken.models.factory import Undrawn, build_model
from unbroken.models.mlp import SPREAD
from unbroken.models.unchanged import reads_inputs_as_an_mlp
from unbroken.training.inputs import TrainingInputs
from unbroken.training.state import TrainState

FIRST = "layers.0"
WAY_OUT = "Give model the settings that it was made with, or leave start.warm_from out to start from scratch"


def warm_start(inputs: TrainingInputs, state: TrainState) -> None:
    """Put the weights of `start.warm_from`, folded if its encoder was refitted, into a fresh state.

    Raise CorruptCheckpointError if the file changed since the run was opened, CheckpointMismatchError if it does not fit.
    """
    start = inputs.config.start
    path = Path(cast(str, start.warm_from))
    tree = read_checkpoint(path, inputs.run.parent)
    weights = tree["model_state_dict"]
    if start.scaler == "refit":
        if not reads_inputs_as_an_mlp(state.model):
            raise CheckpointMismatchError(
                f"{path}: start.scaler: found refit, which is folded into the first layer of an mlp only, not into that of the "
                f"model of {inputs.config.chosen.model.factory}; use start.scaler keep"
            )
        encoder = Encoder.of_tree(tree["scaler"], path)
        with Undrawn():
            model = build_model(inputs.config.chosen.model, encoder.features, inputs.config.training.members)
        check_weights(weights, model, f"{path}: model_state_dict", WAY_OUT)
        weights = fold(weights, state.model.state_dict(), encoder, inputs.encoder)
    elif tree["scaler"] != inputs.header["scaler"]:
        raise CheckpointMismatchError(f"{path}: its encoder is not the one that the rows were preprocessed with")
    check_weights(weights, state.model, f"{path}: model_state_dict", WAY_OUT)
    state.model.load_state_dict(weights)
    if start.optimizer == "keep":
        _keep_moments(inputs, state, tree, path)


def fold(weights: Tree, fresh: Tree, old: Encoder, new: Encoder) -> Tree:
    """Return the weights of an MLP under the new encoder that give the function it had under the old one."""
    scaling, shift = rescaling(old, new)
    first = weights[f"{FIRST}.weight"]
    numbers = first[:, : len(shift)].double()
    change = SPREAD * numbers @ (scaling.sum(1) / 2 + shift - 0.5)
    blocks, embeddings, place = [(numbers @ scaling).to(first.dtype)], {}, len(shift)
    fresh_place = scaling.shape[1]
    for number, (before, after) in enumerate(zip(old.categories, new.categories, strict=True)):
        name = f"embeddings.{number}.weight"
        width, fresh_width = weights[name].shape[1], fresh[name].shape[1]
        embeddings[name] = _embedding(weights[name], fresh[name], before, after)
        block = fresh[f"{FIRST}.weight"][:, fresh_place : fresh_place + fresh_width].to(first, copy=True)
        block[:, :width] = first[:, place : place + width]
        blocks.append(block)
        place, fresh_place = place + width, fresh_place + fresh_width
    bias = (weights[f"{FIRST}.bias"].double() + change).to(first.dtype)
    return weights | embeddings | {f"{FIRST}.weight": torch.cat(blocks, dim=1), f"{FIRST}.bias": bias}


def rescaling(old: Encoder, new: Encoder) -> tuple[Float[Tensor, "old new"], Float[Tensor, " old"]]:
    """Return A and c with s = A s' + c: the old encoder's numbers from the new one's; raise CheckpointMismatchError."""
    if [_same(scale) for scale in old.numbers] != [_same(scale) for scale in new.numbers]:
        raise CheckpointMismatchError(
            "start.scaler refit: other number columns than the checkpoint's; start from scratch"
        )
    if [codes.name for codes in old.categories] != [codes.name for codes in new.categories]:
        raise CheckpointMismatchError(
            "start.scaler refit: other text columns than the checkpoint's; start from scratch"
        )
    rows = {name: place for place, name in enumerate(old.features.numbers)}
    columns = {name: place for place, name in enumerate(new.features.numbers)}
    scaling = torch.zeros(len(rows), len(columns), dtype=torch.float64)
    shift = torch.zeros(len(rows), dtype=torch.float64)
    for name in rows.keys() & columns.keys():  # calendar parts and indicators are the same in both
        scaling[rows[name], columns[name]] = 1.0
    for before, after in zip(old.numbers, new.numbers, strict=True):
        span = before.high - before.low
        a, b = ((after.high - after.low) / span, (after.low - before.low) / span) if span else (0.0, 0.0)
        scaling[rows[before.name], columns[before.name]], shift[rows[before.name]] = a, b
        if after.indicator:
            missing = _filled(before) - (a * _filled(after) + b)
            scaling[rows[before.name], columns[before.name + MISSING_SUFFIX]] = missing
    return scaling, shift


def _same(scale: NumberScale) -> tuple[str, str]:
    return scale.name, scale.kind


def _filled(scale: NumberScale) -> float:
    """Return what stands for a missing value, in 0 .. 1."""
    span = scale.high - scale.low
    return float(np.clip((scale.fill - scale.low) / span, 0, 1)) if span else 0.0


def _embedding(weights: Tensor, fresh: Tensor, before: CategoryCodes, after: CategoryCodes) -> Tensor:
    """Return the old embedding of each new code; where the new one is wider, the rest is 0."""
    known = {value: code for code, value in enumerate(before.values, start=len(weights) - len(before.values))}
    special = len(weights) - len(before.values)
    index = [*range(special), *(known.get(value, UNSEEN) for value in after.values)]
    embedding = torch.zeros_like(fresh, dtype=weights.dtype, device=weights.device)
    embedding[:, : weights.shape[1]] = weights[index]
    return embedding


def _keep_moments(inputs: TrainingInputs, state: TrainState, tree: Tree, path: Path) -> None:
    """Take over what the optimizer remembers of the parameters; its settings, such as the learning rate, are the run's own."""
    before, now = tree["config"]["training"], inputs.header["config"]["training"]
    for name in ("optimizer", "optimizer_options"):
        if before[name] != now[name]:
            raise CheckpointMismatchError(
                f"{path}: start.optimizer keep: training.{name}: found {before[name]!r}, expected {now[name]!r}. "
                f"Use start.optimizer reset"
            )
    check_moments(tree, state.optimizer, path)
    state.optimizer.load_state_dict(state.optimizer.state_dict() | {"state": tree["optimizer_state_dict"]["state"]})
