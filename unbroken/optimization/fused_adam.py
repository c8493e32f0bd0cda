"""The step of a fused Adam without the bookkeeping around it."""

import inspect
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


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
