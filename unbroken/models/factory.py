"""Build the configured network: the MLP, or what a factory of the user's own returns."""

import importlib
from collections.abc import Callable
from typing import Any

from torch import nn

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


def _import_factory(name: str) -> Factory:
    module, _, function = name.partition(":")
    try:
        factory: Any = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"model.factory {name}: {error}") from error
    return factory
