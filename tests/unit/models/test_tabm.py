"""Many MLPs in one."""

import pytest
import torch
from torch import Tensor, nn

from tests.unit.models.test_model import CLASSIC, MIXED
from unbroken.batches.rows import Rows
from unbroken.config import ModelConfig, TaskName
from unbroken.features.spec import FeatureSpec
from unbroken.models.factory import Undrawn, build_model
from unbroken.models.forward import outputs_of, predictions
from unbroken.models.loss import loss_of
from unbroken.models.tabm import SharedLinear, TabM, mean_of_members, rectify
from unbroken.optimization.gradient import gradient_of

REGRESSION = FeatureSpec(numbers=("a", "b"), categories=(), label="label", task="regression", classes=())
FEATURES = {"binary": CLASSIC, "multiclass": MIXED, "regression": REGRESSION}


def built(features: FeatureSpec, members: int = 3) -> TabM:
    torch.manual_seed(0)
    return TabM(features, hidden=[8, 8], members=members, dropout=0.0)


def batch_of(features: FeatureSpec, rows: int = 6) -> Rows:
    labels = torch.arange(rows) % max(2, features.outputs)
    return Rows(
        torch.rand(rows, len(features.numbers)),
        torch.zeros(rows, len(features.categories), dtype=torch.long),
        labels if features.task == "multiclass" else labels.float(),
    )


@pytest.mark.parametrize("task", FEATURES)
def test_members_give_logits_each_while_they_train_and_else_those_of_their_mean(task: str):
    features = FEATURES[task]
    model, batch = built(features), batch_of(features)

    each = model(batch.numbers, batch.codes)
    predicted = predictions(model.eval()(batch.numbers, batch.codes), features.task)

    assert each.shape == (6, 3, features.outputs)
    mean = torch.stack([predictions(member, features.task) for member in each.unbind(1)]).mean(0)
    assert torch.allclose(predicted, mean, atol=1e-6)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_the_mean_is_finite_where_members_are_sure(task: TaskName):
    outputs = torch.tensor([[[90.0], [-80.0]], [[200.0], [150.0]]]).expand(2, 2, 1 if task == "binary" else 3)

    assert mean_of_members(outputs, task).isfinite().all()


@pytest.mark.parametrize(
    ("task", "weighted"),
    [("binary", False), ("binary", True), ("multiclass", False), ("multiclass", True), ("regression", False)],
)
def test_the_loss_and_gradient_are_the_means_of_those_of_the_members(task: str, weighted: bool):
    features = FEATURES[task]
    model, batch = built(features), batch_of(features)
    weights = torch.tensor([1.0, 2.0, 0.5])[: max(2, features.outputs)] if weighted else None

    loss = gradient_of(model, features.task, weights)(batch)

    members = model(batch.numbers, batch.codes).unbind(1)
    expected = torch.stack([loss_of(member, batch.labels, features.task, weights) for member in members]).mean()
    gradients = torch.autograd.grad(expected, list(model.parameters()), allow_unused=True)
    assert torch.allclose(loss, expected)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert torch.allclose(_of(parameter), gradient if gradient is not None else torch.tensor(0.0), atol=1e-6)


def _of(parameter: Tensor) -> Tensor:
    return torch.tensor(0.0) if parameter.grad is None else parameter.grad


def test_a_member_is_an_mlp_of_its_own():
    model, batch = built(CLASSIC), batch_of(CLASSIC)
    before = model(batch.numbers, batch.codes)

    with torch.no_grad():
        model.get_parameter("layers.0.before")[1] *= 2
        model.head_biases[2] += 1
    after = model(batch.numbers, batch.codes)

    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.equal(before[:, 1], after[:, 1])
    assert torch.allclose(before[:, 2] + 1, after[:, 2])


def test_members_in_another_order_predict_the_same():
    model, batch = built(MIXED, members=4), batch_of(MIXED)
    before = outputs_of(model, batch, "multiclass")[1]

    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        own = [model.input_scales, model.heads, model.head_biases]
        own += [getattr(layer, name) for layer in model.layers for name in ("before", "after", "bias")]
        for parameter in own:
            parameter.copy_(parameter[order].clone())

    assert torch.allclose(outputs_of(model, batch, "multiclass")[1], before, atol=1e-6)


def test_members_begin_alike_but_for_how_each_weighs_the_inputs_and_its_head():
    model = built(MIXED, members=500)
    scales = model.input_scales.detach()

    assert torch.equal(scales[:, 0, 0], scales[:, 0, 3])  # the vector of one number
    assert not torch.equal(scales[:, 0, 3], scales[:, 0, 4])
    assert scales[:, 0, 0].std().item() == pytest.approx(1, rel=0.15)
    assert abs(scales[:, 0, 0].mean().item()) < 0.15
    for layer in model.layers:
        assert isinstance(layer, SharedLinear)
        assert torch.equal(layer.before, torch.ones_like(layer.before))
        assert torch.equal(layer.after, torch.ones_like(layer.after))
        assert torch.equal(layer.bias, layer.bias[:1].expand_as(layer.bias))
    assert model.heads.std(0).min() > 0


def test_a_tabm_is_built_without_a_draw_where_its_weights_are_loaded():
    before = torch.get_rng_state()

    with Undrawn():
        model = build_model(ModelConfig(factory="tabm"), MIXED)

    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(model, nn.Module)


def test_dropout_leaves_out_its_share_and_scales_what_stays():
    torch.manual_seed(0)
    hidden = torch.randn(64, 1001, requires_grad=True)

    outputs = rectify(hidden, 0.25)

    positive, kept = hidden > 0, outputs > 0
    assert not bool((kept & ~positive).any())
    assert abs(float(kept[positive].float().mean()) - 0.75) < 0.01
    assert torch.equal(outputs, torch.where(kept, hidden * (1 / 0.75), 0.0))
    assert torch.equal(torch.autograd.grad(outputs.sum(), hidden)[0], torch.where(kept, 1 / 0.75, 0.0))
    assert torch.equal(rectify(hidden, 0.0), hidden.relu())
    assert bool(rectify(hidden, 1 - 1e-9).isfinite().all())
