"""Optimizers and learning rate schedulers by their torch names."""

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from unbroken.config import SCHEDULER_LENGTHS, TrainingConfig, length_from_epochs
from unbroken.errors import ConfigError

FUSED = ("Adam", "AdamW", "SGD", "Adagrad")
"""Optimizers that torch implements as one fused kernel on the CPU too."""

UNUSABLE = ("Optimizer", "LBFGS", "SparseAdam")
"""The base class, one that needs a closure, and one for sparse gradients alone."""

PER_STEP = ("OneCycleLR", "CyclicLR")
"""Schedulers made to be stepped after each batch; the others are stepped after each epoch."""


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
            f"training.optimizer: found {config.optimizer!r}, expected one of {', '.join(_names(torch.optim, Optimizer))}"
        )
    options = dict(config.optimizer_options)
    if config.optimizer in FUSED and not {"fused", "foreach", "differentiable"} & set(options):
        options["fused"] = True
    return _call(kind, "optimizer", model.parameters(), lr=config.learning_rate, **options)


def build_scheduler(config: TrainingConfig, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler | None:
    """Return the configured scheduler, its length filled in from the epochs if it was left out, or None."""
    if config.scheduler is None:
        return None
    kind = getattr(lr_scheduler, config.scheduler, None)
    if not (inspect.isclass(kind) and issubclass(kind, LRScheduler)) or kind is LRScheduler:
        names = ", ".join(_names(lr_scheduler, LRScheduler))
        raise ConfigError(f"training.scheduler: found {config.scheduler!r}, expected one of {names}")
    options = dict(config.scheduler_options)
    if length_from_epochs(config):
        length = config.epochs * (steps_per_epoch if config.scheduler in PER_STEP else 1)
        options[SCHEDULER_LENGTHS[config.scheduler]] = length
    if config.scheduler == "OneCycleLR":
        options.setdefault("max_lr", config.learning_rate)
    return _call(kind, "scheduler", optimizer, **options)


def updater_of(optimizer: Optimizer) -> Callable[[], object]:
    """Return the fastest way to an optimizer's step: the same bits as `optimizer.step()`."""
    group = optimizer.param_groups[0]
    plain = not (group.get("amsgrad") or group.get("maximize") or group.get("capturable"))
    if type(optimizer) in FusedAdamUpdater.KERNELS and len(optimizer.param_groups) == 1 and group["fused"] and plain:
        return FusedAdamUpdater(optimizer)
    return optimizer.step


class FusedAdamUpdater:
    """The step of a fused Adam or AdamW without the bookkeeping around it, which takes a small model longer than the step."""

    KERNELS: ClassVar[dict[type[Optimizer], Any]] = {
        torch.optim.Adam: torch._fused_adam_,
        torch.optim.AdamW: torch._fused_adamw_,
    }

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer, self.kernel = optimizer, self.KERNELS[type(optimizer)]
        self.group = optimizer.param_groups[0]
        self.parameters: list[nn.Parameter] = self.group["params"]
        self.weights = [parameter.detach() for parameter in self.parameters]
        self.state: tuple[list[Tensor], ...] = ()
        self.count = torch.empty(0)

    def __call__(self) -> None:
        """Update the parameters: by the optimizer itself the first time, which makes its state, and without some gradient."""
        gradients = [parameter.grad for parameter in self.parameters]
        if not self.state or any(gradient is None for gradient in gradients):
            with torch.no_grad():
                inspect.unwrap(type(self.optimizer).step)(self.optimizer)
            vars(self.optimizer)["_opt_called"] = True  # where a scheduler looks whether a step went before its own
            self._collect()
            return
        group, (averages, squares, steps) = self.group, self.state
        beta1, beta2 = group["betas"]
        self.count.add_(1)
        self.kernel(
            self.weights, gradients, averages, squares, [], steps, amsgrad=False, lr=group["lr"], beta1=beta1,
            beta2=beta2, weight_decay=group["weight_decay"], eps=group["eps"], maximize=False,
        )  # fmt: skip

    def _collect(self) -> None:
        """Take hold of the state of all parameters, their step counters as views of one tensor, so that one operation counts."""
        if len(self.optimizer.state) < len(self.parameters):
            return
        states = [self.optimizer.state[parameter] for parameter in self.parameters]
        self.count = torch.stack([state["step"] for state in states])
        for state, step in zip(states, self.count.unbind(), strict=True):
            state["step"] = step
        self.state = tuple([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))


def steps_each_batch(scheduler: LRScheduler | None) -> bool:
    """Tell whether a scheduler is stepped after each batch."""
    return type(scheduler).__name__ in PER_STEP


def step_epoch(scheduler: LRScheduler | None, monitored: float) -> None:
    """Step a scheduler that is stepped after each epoch."""
    if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
        scheduler.step(monitored)
    elif scheduler is not None and not steps_each_batch(scheduler):
        scheduler.step()


def _call(kind: type, what: str, /, *arguments: Any, **options: Any) -> Any:
    try:
        return kind(*arguments, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"training.{what} {kind.__name__} with {options}: {error}") from error


def _names(module: Any, base: type) -> list[str]:
    kinds = {name: kind for name, kind in vars(module).items() if inspect.isclass(kind) and issubclass(kind, base)}
    return sorted(name for name, kind in kinds.items() if kind is not base and name not in (*UNUSABLE, "_LRScheduler"))
