"""What replaces torch's own way does so only where it is proven: to the bit where torch's own way goes, else not at all."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.unit.changed_models import CHANGES, changed, fewer_categories, linear
from tests.unit.optimization.test_gradient import batch_of, features_of
from unbroken.batches.rows import Rows
from unbroken.config import TrainingConfig
from unbroken.models.mlp import MLP
from unbroken.models.unchanged import is_unchanged_mlp
from unbroken.optimization.gradient import AccumulatedGradient, AutogradGradient, gradient_of
from unbroken.optimization.mlp_gradient import MLPGradient, embedding_backward, threshold_backward

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
