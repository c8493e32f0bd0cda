"""The network and the user's own factories."""

import pytest
import torch
from torch import nn

from unbroken.config import ModelConfig
from unbroken.errors import ConfigError
from unbroken.features.spec import CategoryFeature, FeatureSpec
from unbroken.models.factory import build_model
from unbroken.models.forward import predictions
from unbroken.models.mlp import MLP, embedding_width

CLASSIC = FeatureSpec(
    numbers=tuple(f"feature_{place}" for place in range(10)),
    categories=(),
    label="label",
    task="binary",
    classes=(0, 1),
)
MIXED = FeatureSpec(
    numbers=("height",),
    categories=(CategoryFeature(name="colour", codes=5), CategoryFeature(name="shape", codes=100)),
    label="label",
    task="multiclass",
    classes=("a", "b", "c"),
)


def test_the_classic_network_is_input_hidden_relu_and_one_logit():
    model = build_model(ModelConfig(options={"hidden": [32]}), CLASSIC)

    assert isinstance(model, MLP)
    assert [type(layer) for layer in model.layers] == [nn.Linear, nn.ReLU, nn.Linear]
    assert sum(parameter.numel() for parameter in model.parameters()) == 10 * 32 + 32 + 32 + 1


def test_dropout_follows_every_hidden_layer():
    model = MLP(CLASSIC, hidden=[4, 4], dropout=0.5)

    assert sum(isinstance(layer, nn.Dropout) for layer in model.layers) == 2


def test_each_category_enters_through_an_embedding_of_its_own():
    model = MLP(MIXED, hidden=[8])

    assert [tuple(table.shape) for table in model.embeddings.parameters()] == [
        (5, embedding_width(5)),
        (100, embedding_width(100)),
    ]
    assert model(torch.rand(7, 1), torch.tensor([[4, 99]] * 7)).shape == (7, 3)


def test_no_hidden_layer_gives_a_linear_model():
    assert len(MLP(CLASSIC, hidden=[]).layers) == 1


def test_probabilities_come_from_the_logits_by_task():
    logits = torch.tensor([[0.0], [2.0]])

    assert torch.equal(predictions(logits, "binary"), torch.sigmoid(torch.tensor([0.0, 2.0])))
    assert torch.equal(predictions(logits, "regression"), torch.tensor([0.0, 2.0]))
    assert torch.equal(predictions(torch.zeros(1, 4), "multiclass"), torch.full((1, 4), 0.25))


@pytest.mark.parametrize(
    ("factory", "options", "named"),
    [
        ("mlp", {"depth": 3}, "depth"),
        ("mlp", {"hidden": [-1]}, "hidden"),
        ("mlp", {"dropout": 2}, "dropout"),
        ("nowhere:model", {}, "nowhere"),
        ("math:nothing", {}, "nothing"),
        ("builtins:repr", {}, "found str, expected a torch.nn.Module"),
    ],
)
def test_a_factory_that_cannot_be_used_is_named(factory: str, options: dict[str, object], named: str):
    with pytest.raises(ConfigError, match=named):
        build_model(ModelConfig(factory=factory, options=options), CLASSIC)
