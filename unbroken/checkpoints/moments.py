"""Does what an optimizer and a schedule remember fit a training? Torch takes state of any shape without a word.

It would fail or go wrong many steps later. What an optimizer has to remember of a parameter is told by a new one of its
class after a step.
"""

import inspect
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unbroken.checkpoints.compatibility import WAY_OUT, first_bad
from unbroken.checkpoints.tree import Tree, beyond, leaves
from unbroken.checkpoints.validation import shown
from unbroken.errors import CheckpointMismatchError

MOVING = {"lr", "initial_lr", "max_lr", "min_lr", "momentum", "base_momentum", "max_momentum", "betas", "weight_decay"}
"""Options that a schedule or a hook changes while it trains."""
STEPPED = {"last_epoch", "_step_count", "_last_lr", "best", "num_bad_epochs", "cooldown_counter", "T_cur", "T_i"}
"""What changes in a schedule while it is stepped; all else is as it was built."""


def check_optimizer(tree: Tree, optimizer: Optimizer, path: Path) -> None:
    """Raise CheckpointMismatchError unless an optimizer can go on from what a checkpoint holds of one.

    Args:
        tree: The checkpoint.
        optimizer: As it was built, with the parameters of the model.
        path: The file, for messages.
    """
    check_moments(tree, optimizer, path)
    name, expected = f"{path}: optimizer_state_dict.param_groups", optimizer.state_dict()["param_groups"]
    groups = tree["optimizer_state_dict"]["param_groups"]
    if len(groups) != len(expected):
        raise _mismatch(name, f"{len(groups)} groups", len(expected))
    for number, (group, fresh) in enumerate(zip(groups, expected, strict=True)):
        own = _known_then(fresh, group, tree)
        _check_alike(group, own, f"{name}[{number}]")
        for option in own.keys() - MOVING:
            if repr(group[option]) != repr(own[option]):
                raise _mismatch(f"{name}[{number}].{option}", shown(group[option]), shown(own[option]))

    warm = "start" in tree["config"]  # so the steps before it may count too
    for place, entries in tree["optimizer_state_dict"]["state"].items():
        done = float(entries.get("step", 0))
        if not 0 <= done <= (math.inf if warm else tree["step"]):
            raise _mismatch(f"{path}: optimizer_state_dict.state.{place}.step", done, f"at most {tree['step']}")


def check_complete(tree: Tree, optimizer: Optimizer, expected: Tree, path: Path) -> None:
    """Raise CheckpointMismatchError if nothing is remembered of a parameter that has changed, as each step does it.

    Args:
        tree: The checkpoint.
        optimizer: As it was built, with the parameters of the model.
        expected: The weights before the first step, by the names of the parameters in their order.
        path: The file, for messages.
    """
    state, weights = tree["optimizer_state_dict"]["state"], tree.get("trained_state_dict") or tree["model_state_dict"]
    after = _state_after_a_step(optimizer)
    for place, (name, initial) in enumerate(expected.items()):
        if after[place] and place not in state and not torch.equal(weights[name], initial.detach().cpu()):
            raise _mismatch(f"{path}: optimizer_state_dict.state.{place}", "nothing", f"what is remembered of {name}")


def check_moments(tree: Tree, optimizer: Optimizer, path: Path) -> None:
    """Raise CheckpointMismatchError unless what a checkpoint remembers of parameters fits those of an optimizer."""
    name, state = f"{path}: optimizer_state_dict", tree["optimizer_state_dict"]["state"]
    expected = _state_after_a_step(optimizer) if state else []
    for place, entries in state.items():
        if place >= len(expected):
            raise _mismatch(f"{name}.state.{place}", f"parameter {place}", len(expected))
        if strange := entries.keys() ^ expected[place].keys():
            raise _mismatch(f"{name}.state.{place}", ", ".join(entries) or "nothing", f"other names: {min(strange)}")
        for key, value in entries.items():
            _check_alike(value, expected[place][key], f"{name}.state.{place}.{key}")
    for key, value in leaves(tree["optimizer_state_dict"], name):
        bad = first_bad(value) if isinstance(value, Tensor) else value
        if isinstance(bad, complex) or (isinstance(bad, float) and not math.isfinite(bad)):
            raise _mismatch(key, bad, "a finite number")


def check_schedule(tree: Tree, expected: Tree | None, per_step: bool, path: Path) -> None:
    """Raise CheckpointMismatchError unless a schedule can go on from what a checkpoint holds of one.

    Args:
        tree: The checkpoint.
        expected: What the schedule is before the first step; None if there is none.
        per_step: Whether it is stepped after each batch, not each epoch.
        path: The file, for messages.
    """
    name, state = f"{path}: scheduler_state_dict", tree["scheduler_state_dict"]
    if state is None or expected is None:
        if state is not expected:
            raise _mismatch(name, shown(state), shown(expected))
        return
    _check_alike(state, _known_then(expected, state, tree), name)
    same_torch = tree["numerics"]["torch"] == str(torch.__version__)
    if same_torch and (strange := state.keys() - expected.keys()):
        raise _mismatch(name, min(strange), "no such name")
    for key in expected.keys() & state.keys():
        if key not in STEPPED and beyond(state[key], expected[key], key):
            raise _mismatch(f"{name}.{key}", shown(state[key]), shown(expected[key]))
        for (part, value), (_, own) in zip(leaves(state[key], key), leaves(expected[key], key), strict=True):
            if isinstance(value, float) and not math.isfinite(value) and value != own:
                raise _mismatch(f"{name}.{part}", value, "a finite number")
    done, last = tree["step"] if per_step else tree["epoch"], state.get("last_epoch", 0)
    # A plateau waits where the monitored metric is no finite number.
    if last != done and not ("num_bad_epochs" in state and 0 <= last <= done):
        raise _mismatch(f"{name}.last_epoch", last, done)


def _known_then(expected: Tree, found: Tree, tree: Tree) -> Tree:
    """Return what is expected where another version of torch wrote the checkpoint: no more than that knew."""
    if tree["numerics"]["torch"] == str(torch.__version__):
        return expected
    return {name: value for name, value in expected.items() if name in found}


def _check_alike(value: Any, expected: Any, name: str) -> None:
    """Raise CheckpointMismatchError unless a value is of the kind of another, and so is all that it holds.

    Tensors are alike in type and shape, numbers whatever they are. What a value holds beyond the other one is passed over.
    """
    if isinstance(expected, dict) and isinstance(value, dict):
        for key, inner in expected.items():
            if key not in value:
                raise _mismatch(f"{name}.{key}", "nothing", shown(inner))
            _check_alike(value[key], inner, f"{name}.{key}")
    elif isinstance(expected, list | tuple) and isinstance(value, list | tuple) and len(value) == len(expected):
        for index, (item, inner) in enumerate(zip(value, expected, strict=True)):
            _check_alike(item, inner, f"{name}[{index}]")
    elif _kind(value) != _kind(expected) and expected is not None:
        raise _mismatch(name, shown(value), shown(expected))


def _kind(value: Any) -> object:
    if isinstance(value, Tensor):
        return value.dtype, tuple(value.shape)
    return float if type(value) is int else type(value)


def _state_after_a_step(optimizer: Optimizer) -> list[Tree]:
    """Return what a new optimizer of the same class remembers of each parameter after a step without a gradient.

    It has the options of the groups, which a schedule may have given: a momentum that moves, where the optimizer has none.
    """
    kind: Any = type(optimizer)
    names, parameters, groups = inspect.signature(kind).parameters, [], []
    for group in optimizer.param_groups:
        new = [nn.Parameter(torch.zeros_like(value)) for value in group["params"]]
        for parameter in new:
            parameter.grad = torch.zeros_like(parameter)
        parameters += new
        groups.append({name: value for name, value in group.items() if name in names} | {"params": new})
    new_optimizer = kind(groups, **{name: value for name, value in optimizer.defaults.items() if name in names})
    with torch.no_grad():
        inspect.unwrap(kind.step)(new_optimizer)  # what is around it imports a compiler
    return [dict(new_optimizer.state.get(parameter, {})) for parameter in parameters]


def _mismatch(name: str, found: object, expected: object) -> CheckpointMismatchError:
    return CheckpointMismatchError(f"{name}: found {found}, expected {expected}. {WAY_OUT}")
