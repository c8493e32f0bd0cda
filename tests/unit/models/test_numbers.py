"""Numbers as vectors, and the network that takes them."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.unit.models.test_model import CLASSIC, MIXED
from unbroken.batches.rows import Rows
from unbroken.config import ModelConfig
from unbroken.models.factory import Undrawn, build_model
from unbroken.models.learning import LEARNT_ROWS, learn_inputs
from unbroken.models.numbers import PeriodicEmbeddings, RobustScale
from unbroken.models.plr import PLR


def test_a_vector_is_a_linear_map_of_cosines_beside_the_number():
    embeddings = PeriodicEmbeddings(2, frequencies=3, width=4, scale=0.5)
    numbers = torch.tensor([[0.25, -1.0]])

    first, second = embeddings(numbers).reshape(2, 4)

    waves = torch.cos(embeddings.phases[1, 0] + numbers[0, 1] * embeddings.frequencies[1, 0])
    assert first[3] == 0.25
    assert second[3] == -1.0
    assert torch.allclose(second[:3], waves @ embeddings.weight[1] + embeddings.bias[1, 0])


def test_each_number_has_parameters_of_its_own():
    embeddings = PeriodicEmbeddings(3, frequencies=4, width=4, scale=0.1)
    numbers = torch.rand(5, 3)
    changed = numbers.clone()
    changed[:, 1] += 1

    before, after = embeddings(numbers).reshape(5, 3, 4), embeddings(changed).reshape(5, 3, 4)

    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert not torch.equal(before[:, 1], after[:, 1])


def test_frequencies_are_normal_of_the_scale_in_cycles_and_phases_uniform():
    torch.manual_seed(0)
    embeddings = PeriodicEmbeddings(200, frequencies=50, width=4, scale=0.1)

    assert math.isclose(embeddings.frequencies.std().item(), 0.2 * math.pi, rel_tol=0.05)
    assert abs(embeddings.phases).max() <= math.pi
    assert math.isclose(embeddings.phases.std().item(), math.pi / math.sqrt(3), rel_tol=0.05)


def test_numbers_are_scaled_by_their_median_and_quartiles_and_drawn_in_smoothly():
    scale = RobustScale(3)
    numbers = torch.stack([torch.linspace(0, 1, 101), torch.zeros(101), (torch.arange(101) == 7).float()], dim=1)

    scale.learn(numbers)
    scaled = scale(numbers)

    assert torch.allclose(scale.median, torch.tensor([0.5, 0.0, 0.0]))
    assert torch.allclose(
        scale.factor, torch.tensor([2.0, 0.0, 2.0])
    )  # a constant says nothing; quartiles that are one, the range
    assert torch.allclose(scaled[75, 0], torch.tensor(0.5 / math.sqrt(1 + 1 / 36)))
    assert scale(torch.full((1, 3), 1e6)).abs().max().item() == pytest.approx(3)


@pytest.mark.parametrize("rows", [1, 70_000, 140_000])
def test_a_model_learns_from_rows_anywhere_and_few_of_many(rows: int):
    class Listening(nn.Module):
        numbers = torch.zeros(0)

        def learn_inputs(self, rows: Rows) -> None:
            self.numbers = rows.numbers[:, 0]

    model = Listening()
    numbers = torch.arange(rows).float().unsqueeze(1)

    learn_inputs(model, Rows(numbers, torch.zeros(rows, 0, dtype=torch.long), torch.zeros(rows)))

    step = -(-rows // LEARNT_ROWS)
    assert torch.equal(model.numbers, torch.arange(0, rows, step).float())


def test_a_plr_gives_a_logit_an_output_with_any_mix_of_inputs():
    only_categories = replace(MIXED, numbers=())

    for features, numbers, codes in ((CLASSIC, 10, 0), (MIXED, 1, 2), (only_categories, 0, 2)):
        model = build_model(ModelConfig(factory="plr", options={"hidden": [8]}), features)
        logits = model(torch.rand(7, numbers), torch.zeros(7, codes, dtype=torch.long))
        assert isinstance(model, PLR)
        assert logits.shape == (7, features.outputs)


def test_a_plr_is_built_without_a_draw_where_its_weights_are_loaded():
    before = torch.get_rng_state()

    with Undrawn():
        build_model(ModelConfig(factory="plr"), MIXED)

    assert torch.equal(torch.get_rng_state(), before)
