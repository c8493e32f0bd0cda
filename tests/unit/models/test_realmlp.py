"""An MLP with the defaults that were best over many tables."""

import pytest
import torch
from torch.nn import functional

from tests.unit.models.test_model import CLASSIC, MIXED
from tests.unit.models.test_tabm import REGRESSION
from unbroken.config import ModelConfig
from unbroken.features.spec import FeatureSpec
from unbroken.models.factory import Undrawn, build_model
from unbroken.models.realmlp import PacedLinear, ParametricActivation, RealMLP


@pytest.mark.parametrize("features", [CLASSIC, MIXED, REGRESSION], ids=lambda features: features.task)
def test_a_realmlp_begins_with_logits_of_0(features: FeatureSpec):
    model = RealMLP(features, hidden=[8, 8])

    logits = model(torch.rand(7, len(features.numbers)), torch.zeros(7, len(features.categories), dtype=torch.long))

    assert torch.equal(logits, torch.zeros(7, features.outputs))


def test_a_layer_keeps_the_spread_of_its_inputs():
    torch.manual_seed(0)
    layer = PacedLinear(400, 300)

    outputs = layer(torch.randn(500, 400))

    assert outputs.var().item() == pytest.approx(2, rel=0.1)  # 1 of the weights, 1 of the biases


def test_adam_moves_the_weights_ten_times_and_the_scales_of_the_inputs_sixty_times_as_far():
    torch.manual_seed(0)
    model = RealMLP(CLASSIC, hidden=[8], dropout=0.0)
    with torch.no_grad():
        model.last.weight.normal_()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    layer = model.get_submodule("layers.0")
    assert isinstance(layer, PacedLinear)
    weight, scales, bias = layer.weight * 10, model.input_scales * 60, layer.bias.clone()

    model(torch.rand(50, 10), torch.zeros(50, 0, dtype=torch.long)).square().sum().backward()
    optimizer.step()

    assert torch.allclose((layer.weight * 10 - weight).abs().median(), torch.tensor(0.01), rtol=0.01)
    assert torch.allclose((model.input_scales * 60 - scales).abs().median(), torch.tensor(0.06), rtol=0.01)
    assert torch.allclose((layer.bias - bias).abs().median(), torch.tensor(0.001), rtol=0.01)


def test_an_activation_begins_as_itself_and_can_become_the_identity():
    activation, inputs = ParametricActivation(functional.selu, 4), torch.randn(5, 4)

    assert torch.allclose(activation(inputs), functional.selu(inputs))
    with torch.no_grad():
        activation.shares.zero_()
    assert torch.equal(activation(inputs), inputs)


def test_a_realmlp_is_built_without_a_draw_where_its_weights_are_loaded():
    before = torch.get_rng_state()

    with Undrawn():
        build_model(ModelConfig(factory="realmlp"), MIXED)

    assert torch.equal(torch.get_rng_state(), before)
