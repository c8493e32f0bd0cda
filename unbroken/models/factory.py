"""Build the configured network: a preset, or what a factory of the user's own returns."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from unbroken.config import ModelConfig, TrainingConfig
from unbroken.config.model import AUTO
from unbroken.errors import ConfigError
from unbroken.features.spec import FeatureSpec
from unbroken.models.ensemble import Ensemble
from unbroken.models.mlp import MLP
from unbroken.models.plr import PLR
from unbroken.models.realmlp import RealMLP
from unbroken.models.tabm import TabM

Factory = Callable[..., nn.Module]
PRESETS: dict[str, Factory] = {"mlp": MLP, "plr": PLR, "realmlp": RealMLP, "tabm": TabM}
"""By the names in `config.model.PRESETS`."""
UNCHOSEN = {AUTO: MLP}
"""Outside of a training, whose settings choose, options without a factory are those of the MLP."""


def build_model(config: ModelConfig, features: FeatureSpec, members: int = 1) -> nn.Module:
    """Return the configured network, or an ensemble of so many.

    Raises:
        ConfigError: The factory fails; it is named.
    """
    if members == 1:
        return _build(config, features)
    return Ensemble((_build(config, features) for _ in range(members)), features.task)


def _build(config: ModelConfig, features: FeatureSpec) -> nn.Module:
    factory = (PRESETS | UNCHOSEN).get(config.factory) or _import_factory(config.factory)
    try:
        model = factory(features, **config.options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"model.factory {config.factory} with options {config.options}: {error}") from error
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model.factory {config.factory}: found {type(model).__name__}, expected a torch.nn.Module")
    return model


class Undrawn(TorchFunctionMode):
    """Let modules of torch's be built in this thread without drawing at random; their weights are whatever memory held."""

    DRAWING = frozenset({"kaiming_uniform_", "uniform_", "normal_"})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Return the tensor that is to be drawn as it is; call all else."""
        if getattr(func, "__name__", "") in self.DRAWING:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def check_outputs(model: nn.Module, features: FeatureSpec, device: torch.device, factory: str) -> None:
    """Raise ConfigError unless a model turns two rows into their logits; before training, not in its first step.

    Args:
        model: The model, whose mode is left as it was.
        features: How many numbers and categories go in, and how many logits come out.
        device: Where the model is.
        factory: The setting that names the function that built the model.
    """
    numbers = torch.zeros(2, len(features.numbers), device=device)
    codes = torch.zeros(2, len(features.categories), dtype=torch.long, device=device)
    expected = [2, features.outputs]
    training = model.training
    try:
        logits = model.eval()(numbers, codes)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise ConfigError(
            f"model.factory {factory}: its model fails on numbers {list(numbers.shape)}: {error}"
        ) from error
    finally:
        model.train(training)
    if not isinstance(logits, Tensor) or list(logits.shape) != expected or not logits.is_floating_point():
        kind = type(logits).__name__
        if isinstance(logits, Tensor):
            kind = f"{list(logits.shape)}" if logits.is_floating_point() else f"{logits.dtype} {list(logits.shape)}"
        raise ConfigError(
            f"model.factory {factory}: its model gives {kind}, expected a tensor {expected} of logits, floating-point and alone"
        )


def check_one_row(
    model: nn.Module, features: FeatureSpec, rows: int, training: TrainingConfig, device: torch.device
) -> None:
    """Raise ConfigError if batches of one row come up and a model cannot train on one, as BatchNorm cannot.

    The last batch of an epoch holds what is left of the rows, also if that is one row: it is never dropped or joined.

    Args:
        model: The model; neither its weights nor its running means are touched.
        features: How many numbers and categories go in.
        rows: How many rows train.
        training: How the rows are cut into batches, and these into micro-batches.
        device: Where the model is.
    """
    batch_size, parts = training.batch_size, training.micro_batches
    if not _leaves_one_row(rows, training):
        return
    inputs = (
        torch.zeros(1, len(features.numbers), device=device),
        torch.zeros(1, len(features.categories)).long().to(device),
    )
    copies = {name: value.detach().clone() for name, value in [*model.named_parameters(), *model.named_buffers()]}
    mode = model.training
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            functional_call(model.train(), copies, inputs)
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            f"training.batch_size: found {batch_size}, which cuts the {rows} rows that train so that a "
            f"{'batch' if parts == 1 else f'micro-batch ({parts} a step)'} has 1 row, and the model cannot train on one: {error}. "
            f"Give another size, e.g. {_better_size(rows, training)}"
        ) from error
    finally:
        model.train(mode)


def _leaves_one_row(rows: int, training: TrainingConfig) -> bool:
    """Tell whether any part of a batch, of those of an epoch, has one row."""
    parts = training.micro_batches
    sizes = {
        (size + more) // parts for size in (training.step_rows, rows % training.step_rows) for more in (0, parts - 1)
    }
    return any(size and (training.batch_size == 1 or size % training.batch_size == 1) for size in sizes)


def _better_size(rows: int, training: TrainingConfig) -> int:
    """Return the nearest batch size that leaves no part of one row; all rows do that."""
    size = training.batch_size
    sizes = (other for step in range(1, rows + size) for other in (size - step, size + step) if 1 < other <= rows)
    return next((other for other in sizes if not _leaves_one_row(rows, replace(training, batch_size=other))), rows)


def _import_factory(name: str) -> Any:
    module, _, function = name.partition(":")
    try:
        factory: Any = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"model.factory {name}: {error}") from error
    return factory
