"""What replaces torch's own way does so only where it is proven: to the bit where torch's own way goes, else not at all."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import StepLR
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from tests.unit.changed_models import CHANGES, changed, fewer_categories, linear
from tests.unit.optimization.test_gradient import batch_of, features_of
from unbroken.batches.rows import Rows
from unbroken.config import TrainingConfig
from unbroken.models.mlp import MLP
from unbroken.models.unchanged import is_unchanged_mlp
from unbroken.optimization.fused_adam import FusedAdamUpdater
from unbroken.optimization.gradient import AccumulatedGradient, AutogradGradient, gradient_of
from unbroken.optimization.mlp_gradient import MLPGradient, embedding_backward, threshold_backward
from unbroken.optimization.optimizer import build_optimizer, updater_of

CODES = (5, 100)


def single_batch(codes: tuple[int, ...] = CODES, rows: int = 40) -> Rows:
    batch = batch_of("binary", codes, rows)
    return Rows(batch.numbers.float(), batch.codes, batch.labels.float())


def seed() -> None:
    torch.manual_seed(1)
    np.random.seed(1)


def gradients(model: nn.Module) -> list[torch.Tensor | None]:
    return [None if value.grad is None else value.grad.clone() for value in model.parameters()]


def gradients_by_hand(model: nn.Module, batch: Rows) -> list[torch.Tensor | None]:
    model.zero_grad()
    logits = model(batch.numbers, batch.codes).squeeze(1)
    functional.binary_cross_entropy_with_logits(logits, batch.labels).backward()
    return gradients(model)


@pytest.mark.parametrize("change", CHANGES)
def test_an_mlp_that_was_changed_in_place_has_the_gradients_that_torch_computes(change: str):
    seed()
    model, batch = changed(features_of("binary", CODES), change), single_batch()
    gradient = gradient_of(model, "binary", None)

    seed()
    gradient(gradient.prepare(batch))
    results = gradients(model)
    seed()
    expected = gradients_by_hand(model, batch)

    assert not is_unchanged_mlp(model)
    for value, right in zip(results, expected, strict=True):
        assert (value is None) == (right is None)
        assert value is None or right is None or torch.equal(value, right)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_an_mlp_over_a_part_of_the_inputs_has_the_gradients_that_torch_computes(accumulate: int):
    model, batch = fewer_categories(features_of("binary", CODES)), single_batch()
    gradient = gradient_of(model, "binary", None, TrainingConfig(batch_size=20, accumulate=accumulate))

    gradient(gradient.prepare(batch))
    results = gradients(model)

    for value, right in zip(results, gradients_by_hand(model, batch), strict=True):
        torch.testing.assert_close(value, right)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("hidden", [[], [8], [8, 4]])
@pytest.mark.parametrize("codes", [(), CODES])
def test_an_mlp_as_its_constructor_made_it_is_unchanged(codes: tuple[int, ...], hidden: list[int], dropout: float):
    model = MLP(features_of("binary", codes), hidden, dropout)

    assert is_unchanged_mlp(model)
    assert isinstance(gradient_of(model, "binary", None), MLPGradient)
    assert not is_unchanged_mlp(MLP(features_of("binary", codes), hidden, dropout).eval())
    assert not is_unchanged_mlp(MLP(features_of("binary", codes), hidden, dropout).double())
    assert is_unchanged_mlp(model.train())


HOOKS: dict[str, Callable[[], Any]] = {
    "forward": lambda: nn.modules.module.register_module_forward_hook(lambda _, __, output: output),
    "forward pre": lambda: nn.modules.module.register_module_forward_pre_hook(lambda _, inputs: inputs),
    "full backward": lambda: nn.modules.module.register_module_full_backward_hook(lambda *_: None),
    "full backward pre": lambda: nn.modules.module.register_module_full_backward_pre_hook(lambda *_: None),
}


@pytest.mark.parametrize("kind", HOOKS)
def test_a_hook_on_all_modules_of_the_process_is_seen(kind: str):
    model = MLP(features_of("binary", ()), [8])
    handle = HOOKS[kind]()
    try:
        assert not is_unchanged_mlp(model)
    finally:
        handle.remove()
    assert is_unchanged_mlp(model)


def test_a_class_of_torch_that_was_patched_is_seen(monkeypatch: pytest.MonkeyPatch):
    model = MLP(features_of("binary", ()), [8])
    own = nn.ReLU.forward

    monkeypatch.setattr(nn.ReLU, "forward", lambda layer, inputs: own(layer, inputs - 1))

    assert isinstance(gradient_of(model, "binary", None), AutogradGradient)


def test_gradients_written_out_no_longer_fit_once_a_parameter_or_its_gradient_is_another():
    def cleared(model: MLP) -> None:
        model.zero_grad()

    def moved(model: MLP) -> None:
        linear(model).weight.data = torch.zeros_like(linear(model).weight)

    def replaced(model: MLP) -> None:
        model.layers[0] = nn.Linear(3, 8)

    def moved_table(model: MLP) -> None:
        weight = next(model.embeddings.parameters())
        weight.data = torch.zeros_like(weight)

    changes: list[Callable[[MLP], None]] = [cleared, moved, replaced, moved_table]
    for change in changes:
        model = MLP(features_of("binary", (5,)), [8])
        gradient = MLPGradient(model, "binary", None)
        gradient(gradient.prepare(single_batch((5,))))
        accumulated = AccumulatedGradient(gradient, model, 20)
        assert gradient.fits()
        assert accumulated.fits()

        change(model)

        assert not gradient.fits()
        assert not accumulated.fits()


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


def test_the_kernels_of_one_layer_have_the_bits_of_torchs_public_functions():
    torch.manual_seed(0)
    hidden, table, codes = torch.randn(40, 8), torch.randn(9, 4), torch.randint(0, 9, (40,))

    leaf = hidden.clone().requires_grad_()
    functional.relu(leaf).square().sum().backward()
    assert leaf.grad is not None
    positive = hidden.relu()
    assert torch.equal(threshold_backward(2 * positive, positive, 0, grad_input=torch.empty_like(hidden)), leaf.grad)

    torch.manual_seed(1)
    expected = functional.dropout(hidden, 0.3, training=True)
    torch.manual_seed(1)
    assert torch.equal(torch.native_dropout(hidden, 0.3, True)[0], expected)

    weight = table.clone().requires_grad_()
    embedded = functional.embedding(codes, weight)
    embedded.square().sum().backward()
    assert weight.grad is not None
    assert torch.equal(torch.embedding(table, codes), embedded)
    assert torch.equal(embedding_backward(2 * embedded.detach(), codes, 9, -1, False), weight.grad)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_all_written_out_gradients_of_a_squared_error_have_autograds_bits(dropout: float):
    batch = batch_of("regression", CODES, rows=64)  # by a power of two nothing is rounded, however a mean is taken
    single = Rows(batch.numbers.float(), batch.codes, batch.labels.float())
    model = MLP(features_of("regression", CODES), [16, 8], dropout)
    results: list[list[torch.Tensor | None]] = []
    for kind in (AutogradGradient, MLPGradient):
        torch.manual_seed(1)
        gradient = kind(model, "regression", None)
        gradient(gradient.prepare(single))
        results.append(gradients(model))

    for value, right in zip(*results, strict=True):
        assert value is not None
        assert right is not None
        assert torch.equal(value, right)


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
