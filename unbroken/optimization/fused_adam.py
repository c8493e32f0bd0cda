"""The step of a fused Adam without the bookkeeping around it."""

import inspect
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim import optimizer as torch_optimizer

SETTABLE = {"lr", "betas", "eps", "weight_decay"}
"""Options that the kernel takes as they are: numbers."""
FIXED: dict[str, tuple[object, ...]] = {
    "amsgrad": (False,),
    "maximize": (False,),
    "foreach": (None, False),
    "capturable": (False,),
    "differentiable": (False,),
    "fused": (True,),
}
"""The other options, and the values under which the kernel alone is the whole step."""
SCHEDULED = {"initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum"}
"""What schedulers keep in a group; no step reads it."""
STEPS: dict[type[Optimizer], Any] = {kind: inspect.unwrap(kind.step) for kind in (torch.optim.Adam, torch.optim.AdamW)}


class FusedAdamUpdater:
    """The step of a fused Adam or AdamW without the bookkeeping around it, which takes a small model longer than the step."""

    KERNELS: ClassVar[dict[type[Optimizer], Any]] = {
        torch.optim.Adam: torch._fused_adam_,
        torch.optim.AdamW: torch._fused_adamw_,
    }

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer, self.kernel = optimizer, self.KERNELS[type(optimizer)]
        self.group = optimizer.param_groups[0]
        self.parameters: list[nn.Parameter] = list(self.group["params"])
        self.state: tuple[list[Tensor], ...] = ()
        self.count = torch.empty(0)
        self._detach()

    @classmethod
    def takes(cls, optimizer: Optimizer) -> bool:
        """Tell whether the kernel alone is an optimizer's step: whether all that could add to it is known, and off."""
        kind, groups = type(optimizer), optimizer.param_groups
        if kind not in cls.KERNELS or len(groups) != 1 or set(optimizer.defaults) != _option_names():
            return False
        options = {name: value for name, value in groups[0].items() if name not in SCHEDULED}
        return (
            set(options) == {"params", *_option_names()}
            and all(any(options[name] is value for value in values) for name, values in FIXED.items())
            and options["decoupled_weight_decay"] is (kind is torch.optim.AdamW)
            and all(type(value) in (int, float) for value in _numbers(options))
            and _is_as_new(optimizer)
            and _are_alike(options["params"])
        )

    def fits(self) -> bool:
        """Tell whether the optimizer still is what it was when this was made."""
        optimizer = self.optimizer
        if not self.takes(optimizer) or optimizer.param_groups[0] is not self.group:
            return False
        states = [optimizer.state.get(parameter, {}) for parameter in self.parameters] if self.state else []
        held = [[state.get(name) for state in states] for name in MOMENTS]
        return _are_same(self.parameters, self.group["params"]) and all(map(_are_same, self.state, held))

    def __call__(self) -> None:
        """Update the parameters: by the optimizer itself the first time, which makes its state, and without some gradient."""
        gradients = [parameter.grad for parameter in self.parameters]
        if not self.state or any(gradient is None for gradient in gradients):
            with torch.no_grad():
                STEPS[type(self.optimizer)](self.optimizer)
            vars(self.optimizer)["_opt_called"] = True  # where a scheduler looks whether a step went before its own
            self._collect()
            return
        group, (averages, squares, steps) = self.group, self.state
        beta1, beta2 = group["betas"]
        self.count.add_(1)
        if [parameter.data_ptr() for parameter in self.parameters] != self.addresses:
            self._detach()
        self.kernel(
            self.weights, gradients, averages, squares, [], steps, amsgrad=False, lr=group["lr"], beta1=beta1,
            beta2=beta2, weight_decay=group["weight_decay"], eps=group["eps"], maximize=False,
        )  # fmt: skip

    def _detach(self) -> None:
        """Take hold of the memory of the parameters; a model may put other memory under them while it computes."""
        self.weights = [parameter.detach() for parameter in self.parameters]
        self.addresses = [weights.data_ptr() for weights in self.weights]

    def _collect(self) -> None:
        """Take hold of the state of all parameters, their step counters as views of one tensor, so that one operation counts."""
        if not all(parameter in self.optimizer.state for parameter in self.parameters):
            return
        states = [self.optimizer.state[parameter] for parameter in self.parameters]
        self.count = torch.stack([state["step"] for state in states])
        for state, step in zip(states, self.count.unbind(), strict=True):
            state["step"] = step
        self.state = tuple([state[name] for state in states] for name in MOMENTS)


MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def _option_names() -> set[str]:
    return {*SETTABLE, *FIXED, "decoupled_weight_decay"}


def _numbers(options: dict[str, Any]) -> list[object]:
    return [options["lr"], *options["betas"], options["eps"], options["weight_decay"]]


def _are_alike(parameters: list[nn.Parameter]) -> bool:
    first = parameters[0]
    return first.dtype in (torch.float32, torch.float64) and all(
        value.dtype is first.dtype and value.device == first.device and value.layout is torch.strided
        for value in parameters
    )


def _are_same(left: list[Any], right: list[Any]) -> bool:
    return len(left) == len(right) and all(one is other for one, other in zip(left, right, strict=True))


def _is_as_new(optimizer: Optimizer) -> bool:
    """Tell whether an optimizer has its class's step, no hooks, and nothing that a new one lacks but a scheduler's mark."""
    kind = type(optimizer)
    hooked = torch_optimizer._global_optimizer_pre_hooks or torch_optimizer._global_optimizer_post_hooks
    content = _content(optimizer)
    step, _ = content.pop("step", kind.step), content.pop("_opt_called", None)
    own = inspect.unwrap(step) is inspect.unwrap(kind.step) is STEPS[kind]
    return own and not hooked and content == _content_when_new(kind)


def _content(optimizer: Optimizer) -> dict[str, Any]:
    return {name: value for name, value in vars(optimizer).items() if name not in ("defaults", "state", "param_groups")}


@cache
def _content_when_new(kind: type[Optimizer]) -> dict[str, Any]:
    new: Any = kind
    return _content(new([torch.empty(1)], lr=0.1, fused=True))
