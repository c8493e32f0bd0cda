"""Optimizers by their torch names."""

import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from unbroken.config import TrainingConfig
from unbroken.config.validation import require
from unbroken.errors import ConfigError
from unbroken.optimization.fused_adam import FusedAdamUpdater

FUSED = ("Adam", "AdamW", "SGD", "Adagrad")
"""Optimizers that torch implements as one fused kernel on the CPU too."""

UNUSABLE = ("Optimizer", "LBFGS", "SparseAdam")
"""The base class, one that needs a closure, and one for sparse gradients alone."""


def _import_no_compiler() -> None:
    """Keep torch from importing its compiler, a second or two of work, for methods that it must not compile; we compile none."""
    for name in ("add_param_group", "state_dict", "load_state_dict", "zero_grad"):
        method = inspect.unwrap(getattr(Optimizer, name))
        vars(method).setdefault("__dynamo_disable", method)


_import_no_compiler()


def build_optimizer(config: TrainingConfig, model: nn.Module) -> Optimizer:
    """Return the configured optimizer over a model's parameters; raise ConfigError naming what does not fit."""
    kind = getattr(torch.optim, config.optimizer, None)
    if not (inspect.isclass(kind) and issubclass(kind, Optimizer)) or config.optimizer in UNUSABLE:
        raise ConfigError(
            f"training.optimizer: found {config.optimizer!r}, expected one of {', '.join(class_names(torch.optim, Optimizer))}"
        )
    options = dict(config.optimizer_options)
    if config.optimizer in FUSED and not {"fused", "foreach", "differentiable"} & set(options):
        options["fused"] = True
    for name in ("differentiable", "capturable"):
        usable = name == "capturable" and (options.get("fused") or not config.device.startswith("cpu"))
        expected = "False: no training here differentiates through a step, or captures one on the CPU"
        require(usable or not options.get(name), f"training.optimizer_options.{name}", options.get(name), expected)
    return construct(kind, "optimizer", model.parameters(), lr=config.learning_rate, **options)


def updater_of(optimizer: Optimizer) -> Callable[[], object]:
    """Return the fastest way to an optimizer's step: the same bits as `optimizer.step()`."""
    return FusedAdamUpdater(optimizer) if FusedAdamUpdater.takes(optimizer) else optimizer.step


def construct(kind: type, what: str, /, *arguments: Any, **options: Any) -> Any:
    """Call a class of torch; raise ConfigError naming the setting `training.<what>` if it refuses the options."""
    parameters = inspect.signature(kind).parameters
    for name, value in options.items():
        number = name in parameters and type(parameters[name].default) in (int, float)
        require(not (number and isinstance(value, bool)), f"training.{what}_options.{name}", value, "a number")
    with refusals(f"training.{what} {kind.__name__} with {options}"):
        return kind(*arguments, **options)


@contextmanager
def refusals(subject: str) -> Generator[None]:
    """Turn what torch raises of options that it cannot use into a ConfigError about a subject."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError, AttributeError, AssertionError) as error:
        raise ConfigError(f"{subject}: {error or type(error).__name__}") from error


def class_names(module: Any, base: type) -> list[str]:
    """Return the names of the usable classes of a module below a base class."""
    kinds = {name: kind for name, kind in vars(module).items() if inspect.isclass(kind) and issubclass(kind, base)}
    return sorted(name for name, kind in kinds.items() if kind is not base and name not in (*UNUSABLE, "_LRScheduler"))
