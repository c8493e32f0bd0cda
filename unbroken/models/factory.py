"""Build the configured network: the MLP, or what a factory of the user's own returns."""

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from unbroken.config import ModelConfig
from unbroken.errors import ConfigError
from unbroken.features.spec import FeatureSpec
from unbroken.models.mlp import MLP

Factory = Callable[..., nn.Module]


def build_model(config: ModelConfig, features: FeatureSpec) -> nn.Module:
    """Call the configured factory with the features and the options; raise ConfigError naming it if that fails."""
    factory = MLP if config.factory == "mlp" else _import_factory(config.factory)
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
    if not isinstance(logits, Tensor) or list(logits.shape) != expected:
        shape = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ConfigError(f"model.factory {factory}: its model gives {shape}, expected a tensor {expected} of logits")


def _import_factory(name: str) -> Any:
    module, _, function = name.partition(":")
    try:
        factory: Any = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"model.factory {name}: {error}") from error
    return factory
