"""Adam's quick update runs only where it is proven to give the bits of torch's own step."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from unbroken.config import TrainingConfig
from unbroken.optimization.fused_adam import FusedAdamUpdater
from unbroken.optimization.optimizer import build_optimizer, updater_of

OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "other numbers": {"weight_decay": 0.1, "betas": (0.8, 0.99), "eps": 1e-6},
    "decoupled": {"decoupled_weight_decay": True, "weight_decay": 0.1},
    "amsgrad": {"amsgrad": True},
    "maximize": {"maximize": True},
    "plain": {"fused": False},
    "foreach": {"foreach": True},
    "neither": {"fused": False, "foreach": False},
}
PROVEN = ("defaults", "other numbers")


def stepped(optimizer: torch.optim.Optimizer, update: Callable[[], object], model: nn.Module) -> list[torch.Tensor]:
    for step in range(5):
        optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape)
        update()
    moments = [value for state in optimizer.state.values() for value in state.values()]
    return [*(value.detach() for value in model.parameters()), *moments]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_adam_of_any_options_updates_by_the_bits_of_its_own_step(name: str, options: str):
    chosen = {
        key: value for key, value in OPTIONS[options].items() if name == "Adam" or not key.startswith("decoupled")
    }
    results: list[list[torch.Tensor]] = []
    for quick in (True, False):
        torch.manual_seed(0)
        model = nn.Linear(5, 3)
        optimizer = build_optimizer(TrainingConfig(optimizer=name, optimizer_options=chosen), model)
        proven = options in PROVEN or (name, options) == ("AdamW", "decoupled")
        assert isinstance(updater_of(optimizer), FusedAdamUpdater) is proven
        results.append(stepped(optimizer, updater_of(optimizer) if quick else optimizer.step, model))

    assert len(results[0]) == 2 + 2 * (4 if chosen.get("amsgrad") else 3)
    assert all(torch.equal(value, right) for value, right in zip(*results, strict=True))


def adam(**options: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(nn.Linear(2, 2).parameters(), lr=0.1, fused=True, **options)


def with_a_step_of_its_own() -> torch.optim.Optimizer:
    optimizer = adam()
    vars(optimizer)["step"] = lambda: None
    return optimizer


def with_a_hook(register: str) -> torch.optim.Optimizer:
    optimizer = adam()
    getattr(optimizer, register)(lambda *_: None)
    return optimizer


def with_a_scale() -> torch.optim.Optimizer:
    optimizer = adam()
    vars(optimizer)["grad_scale"] = torch.ones(1)
    return optimizer


def with_an_option(name: str, value: object) -> torch.optim.Optimizer:
    optimizer = adam()
    optimizer.param_groups[0][name] = value
    return optimizer


def without_an_option() -> torch.optim.Optimizer:
    optimizer = adam()
    del optimizer.param_groups[0]["decoupled_weight_decay"], optimizer.defaults["decoupled_weight_decay"]
    return optimizer


def of_a_subclass() -> torch.optim.Optimizer:
    class Own(torch.optim.Adam):
        pass

    return Own(nn.Linear(2, 2).parameters(), fused=True)


def of_two_types() -> torch.optim.Optimizer:
    return torch.optim.Adam([nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2).double())], fused=True)


UNPROVEN: dict[str, Callable[[], torch.optim.Optimizer]] = {
    "a step of its own": with_a_step_of_its_own,
    "a hook before each step": lambda: with_a_hook("register_step_pre_hook"),
    "a hook after each step": lambda: with_a_hook("register_step_post_hook"),
    "a scale of the gradients": with_a_scale,
    "an option of a later torch": lambda: with_an_option("nesterov", False),
    "a value of a later torch": lambda: with_an_option("foreach", "some"),
    "a learning rate that is a tensor": lambda: with_an_option("lr", torch.tensor(0.1)),
    "a beta that is a tensor": lambda: with_an_option("betas", (torch.tensor(0.9), 0.99)),
    "amsgrad switched on later": lambda: with_an_option("amsgrad", True),
    "fewer options, of an earlier torch": without_an_option,
    "a subclass": of_a_subclass,
    "parameters of two types": of_two_types,
    "two groups": lambda: torch.optim.Adam(
        [{"params": [nn.Parameter(torch.ones(1))]}, {"params": [nn.Parameter(torch.ones(1))]}], fused=True
    ),
}


@pytest.mark.parametrize("kind", UNPROVEN)
def test_an_optimizer_with_anything_unknown_updates_by_its_own_step(kind: str):
    optimizer = UNPROVEN[kind]()

    assert updater_of(optimizer) == optimizer.step


@pytest.mark.parametrize("register", [register_optimizer_step_pre_hook, register_optimizer_step_post_hook])
def test_a_hook_on_all_optimizers_of_the_process_is_seen(register: Callable[..., Any]):
    handle = register(lambda *_: None)
    try:
        assert not FusedAdamUpdater.takes(adam())
    finally:
        handle.remove()
    assert FusedAdamUpdater.takes(adam())


def test_a_quick_update_no_longer_fits_once_the_optimizer_holds_other_state():
    def loaded(optimizer: torch.optim.Optimizer) -> None:
        optimizer.load_state_dict(optimizer.state_dict())

    def forgetful(optimizer: torch.optim.Optimizer) -> None:
        optimizer.state.clear()

    def maximizing(optimizer: torch.optim.Optimizer) -> None:
        optimizer.param_groups[0]["maximize"] = True

    changes: list[Callable[[torch.optim.Optimizer], None]] = [loaded, forgetful, maximizing]
    for change in changes:
        model = nn.Linear(2, 2)
        optimizer = build_optimizer(TrainingConfig(), model)
        update = FusedAdamUpdater(optimizer)
        stepped(optimizer, update, model)
        assert update.fits()

        change(optimizer)

        assert not update.fits()


def test_a_model_that_puts_other_memory_under_its_parameters_is_still_updated():
    results: list[torch.Tensor] = []
    for quick in (True, False):
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = build_optimizer(TrainingConfig(), model)
        update = updater_of(optimizer) if quick else optimizer.step
        for _ in range(4):
            model.weight.data = model.weight.data.renorm(2, 0, 0.5)
            for parameter in model.parameters():
                parameter.grad = torch.randn(parameter.shape)
            update()
        results.append(model.weight.detach())

    assert torch.equal(*results)


def test_a_scheduler_sees_the_quick_update_and_misses_none():
    optimizer = build_optimizer(TrainingConfig(), model := nn.Linear(2, 2))
    scheduler = StepLR(optimizer, 1)
    update = updater_of(optimizer)
    assert isinstance(update, FusedAdamUpdater)
    for parameter in model.parameters():
        parameter.grad = torch.ones(parameter.shape)

    update()
    scheduler.step()  # warns, which is an error here, unless an update went before

    optimizer = build_optimizer(TrainingConfig(), nn.Linear(2, 2))
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        StepLR(optimizer, 1).step()


WITHOUT_COMPILER = """
import sys, torch
from torch import nn
{first}
torch.manual_seed(0)
model = nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
optimizer.add_param_group({{"params": [nn.Parameter(torch.ones(2))], "lr": 0.5}})
model(torch.ones(1, 2)).sum().backward()
optimizer.step()
state = optimizer.state_dict()
optimizer.load_state_dict(state)
optimizer.zero_grad()
print([value.grad for value in model.parameters()], optimizer.state_dict(), {last})
"""


@pytest.mark.slow
def test_methods_that_torch_need_not_keep_from_its_compiler_do_the_same():
    run = [sys.executable, "-c"]
    scripts = ("", "import unbroken.optimization.optimizer")
    own, quick = (
        subprocess.run(
            [*run, WITHOUT_COMPILER.format(first=first, last="None")], capture_output=True, text=True, check=True
        ).stdout
        for first in scripts
    )
    assert quick == own

    methods = ("add_param_group", "state_dict", "load_state_dict", "zero_grad")
    marked = [vars(inspect.unwrap(getattr(torch.optim.Optimizer, name))) for name in methods]
    assert all("__dynamo_disable" in mark for mark in marked)
    assert "__dynamo_disable" in inspect.getsource(torch._compile)
