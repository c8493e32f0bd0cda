"""The written-out gradients against autograd, and the quick update against the optimizer's own."""

import dataclasses
from typing import Any, Literal

import pytest
import torch

from unbroken.batches.rows import Rows
from unbroken.config import TaskName, TrainingConfig
from unbroken.features.spec import CategoryFeature, FeatureSpec
from unbroken.models.mlp import MLP
from unbroken.optimization.fused_adam import FusedAdamUpdater
from unbroken.optimization.gradient import AutogradGradient, gradient_of
from unbroken.optimization.mlp_gradient import MLPGradient
from unbroken.optimization.optimizer import build_optimizer, updater_of

CODES = {"no category": (), "two categories": (5, 100)}


def features_of(task: TaskName, codes: tuple[int, ...]) -> FeatureSpec:
    categories = tuple(CategoryFeature(name=f"category_{place}", codes=count) for place, count in enumerate(codes))
    classes = {"binary": (0, 1), "multiclass": ("a", "b", "c"), "regression": ()}[task]
    return FeatureSpec(numbers=("x", "y", "z"), categories=categories, label="label", task=task, classes=classes)


def batch_of(task: TaskName, codes: tuple[int, ...], rows: int = 40) -> Rows:
    draw = torch.Generator().manual_seed(0)
    labels = {
        "binary": torch.randint(0, 2, (rows,), generator=draw).double(),
        "multiclass": torch.randint(0, 3, (rows,), generator=draw),
        "regression": torch.randn(rows, generator=draw).double(),
    }
    columns = [torch.randint(0, count, (rows,), generator=draw) for count in codes]
    drawn = torch.stack(columns, dim=1) if columns else torch.empty(rows, 0, dtype=torch.long)
    return Rows(torch.rand(rows, 3, generator=draw).double(), drawn, labels[task])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("hidden", [[], [8], [16, 8]])
@pytest.mark.parametrize("codes", CODES.values(), ids=CODES)
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_written_out_gradients_are_those_of_autograd(
    task: TaskName, codes: tuple[int, ...], hidden: list[int], dropout: float, weighted: bool
):
    model = MLP(features_of(task, codes), hidden, dropout).double()
    weights = torch.tensor([1.0, 2.0, 3.0]).double() if weighted and task != "regression" else None
    found: list[list[torch.Tensor]] = []
    for kind in (AutogradGradient, MLPGradient):
        torch.manual_seed(1)
        gradient = kind(model, task, weights)
        loss = gradient(gradient.prepare(batch_of(task, codes)))
        found.append(
            [loss, *(parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None)]
        )

    autograd, written_out = found
    assert len(autograd) == len(written_out) == 1 + len(list(model.parameters()))
    for one, other in zip(autograd, written_out, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_accumulated_gradients_are_those_of_the_whole_batch(
    task: TaskName, weighted: bool, precision: Literal["float32", "bfloat16"]
):
    model = MLP(features_of(task, (5,)), [8]).double()
    weights = torch.tensor([1.0, 2.0, 3.0]).double() if weighted and task != "regression" else None
    single = precision == "bfloat16"
    batch, settings = batch_of(task, (5,)), TrainingConfig(precision=precision, batch_size=12)
    if single:
        model, weights = model.float(), weights if weights is None else weights.float()
        batch = Rows(batch.numbers.float(), batch.codes, batch.labels if task == "multiclass" else batch.labels.float())
    results: list[list[torch.Tensor]] = []
    for accumulate in (1, 4):
        gradient = gradient_of(model, task, weights, dataclasses.replace(settings, accumulate=accumulate))
        loss = gradient(gradient.prepare(batch))
        results.append([loss, *(value.grad.clone() for value in model.parameters() if value.grad is not None)])

    assert len(results[0]) == 1 + len(list(model.parameters()))
    for value, other in zip(*results, strict=True):
        torch.testing.assert_close(value, other, rtol=0.05 if single else None, atol=0.01 if single else None)


def test_bfloat16_is_computed_in_bfloat16_and_its_gradients_are_float32():
    seen: list[torch.dtype] = []
    model = MLP(features_of("binary", ()), [8])
    model.layers[0].register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    gradient = gradient_of(model, "binary", None, TrainingConfig(precision="bfloat16"))
    batch = batch_of("binary", ())

    loss = gradient(Rows(batch.numbers.float(), batch.codes, batch.labels.float()))

    assert seen == [torch.bfloat16]
    assert {loss.dtype, *(p.grad.dtype for p in model.parameters() if p.grad is not None)} == {torch.float32}


def test_only_the_mlp_itself_has_its_gradients_written_out():
    class Changed(MLP):
        def forward(self, numbers: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(numbers, codes)

    features = features_of("binary", ())

    assert isinstance(gradient_of(MLP(features), "binary", None), MLPGradient)
    assert isinstance(gradient_of(Changed(features), "binary", None), AutogradGradient)


GRADIENTS = {"of all parameters": (), "none for one at first": (0,), "none for one now and then": (2, 3)}


@pytest.mark.parametrize("without", GRADIENTS.values(), ids=GRADIENTS)
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1, "betas": (0.8, 0.99), "eps": 1e-6}])
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_the_quick_update_gives_the_bits_of_the_optimizers_own_step(
    name: str, options: dict[str, Any], without: tuple[int, ...]
):
    config = TrainingConfig(optimizer=name, optimizer_options=options)
    results: list[tuple[dict[str, torch.Tensor], dict[str, Any]]] = []
    for quick in (True, False):
        torch.manual_seed(0)
        model = MLP(features_of("binary", ()), [8])
        optimizer = build_optimizer(config, model)
        update = updater_of(optimizer) if quick else optimizer.step
        assert isinstance(update, FusedAdamUpdater) is quick
        for step in range(6):
            optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
            for parameter in model.parameters():
                parameter.grad = torch.randn(parameter.shape)
            if step in without:
                next(model.parameters()).grad = None
            update()
        results.append((model.state_dict(), optimizer.state_dict()))

    (weights, state), (other_weights, other_state) = results
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)
    for place, moments in state["state"].items():
        assert all(torch.equal(moments[name], other_state["state"][place][name]) for name in moments)


@pytest.mark.parametrize(
    ("name", "options"),
    [("SGD", {}), ("Adam", {"amsgrad": True}), ("Adam", {"fused": False}), ("Adam", {"maximize": True})],
)
def test_any_other_optimizer_updates_by_its_own_step(name: str, options: dict[str, Any]):
    optimizer = build_optimizer(
        TrainingConfig(optimizer=name, optimizer_options=options), MLP(features_of("binary", ()))
    )

    assert not isinstance(updater_of(optimizer), FusedAdamUpdater)
