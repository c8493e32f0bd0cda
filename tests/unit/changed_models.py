"""Factories that take the MLP and change it in place, in the ways that PyTorch offers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge, register_multi_grad_hook
from torch.nn.utils import parametrizations, parametrize

from unbroken.features.spec import FeatureSpec
from unbroken.models.mlp import MLP

HELD: list[Any] = []
"""What only lives as long as someone holds it."""


class Doubled(MLP):
    """A subclass with another forward."""

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        return 2 * super().forward(numbers, codes)


class Scaled(nn.Parameter):
    """A parameter of another type."""


class Positive(nn.Module):
    """Makes weights positive."""

    def forward(self, weights: Tensor) -> Tensor:
        return weights.abs()


def linear(model: MLP, index: int = 0) -> nn.Linear:
    """Return a linear layer."""
    layer = [layer for layer in model.layers if isinstance(layer, nn.Linear)][index]
    assert isinstance(layer, nn.Linear)
    return layer


def replaced_activation(model: MLP) -> None:
    model.layers[1] = nn.GELU()


def no_activation(model: MLP) -> None:
    model.layers[1] = nn.Identity()


def activation_of_a_subclass(model: MLP) -> None:
    class Shifted(nn.ReLU):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input - 0.1)

    model.layers[1] = Shifted()


def added_norm(model: MLP) -> None:
    model.layers.insert(1, nn.BatchNorm1d(linear(model).out_features))


def removed_layer(model: MLP) -> None:
    del model.layers[1]


def appended_layer(model: MLP) -> None:
    model.layers.append(nn.Softplus())


def frozen_layer(model: MLP) -> None:
    linear(model).requires_grad_(False)


def frozen_bias(model: MLP) -> None:
    linear(model).bias.requires_grad_(False)


def frozen_embedding(model: MLP) -> None:
    model.embeddings[0].requires_grad_(False)


def forward_hook(model: MLP) -> None:
    linear(model).register_forward_hook(lambda _, __, output: 2 * output)


def forward_pre_hook(model: MLP) -> None:
    model.register_forward_pre_hook(lambda _, inputs: (inputs[0] + 1, inputs[1]))


def backward_hook(model: MLP) -> None:
    linear(model, 1).register_full_backward_hook(lambda _, gradients, __: tuple(3 * gradient for gradient in gradients))


def gradient_hook(model: MLP) -> None:
    linear(model).weight.register_hook(lambda gradient: gradient.clamp(-1e-3, 1e-3))


def accumulated_gradient_hook(model: MLP) -> None:
    def halve(parameter: Tensor) -> None:
        assert parameter.grad is not None
        parameter.grad.mul_(0.5)

    linear(model).weight.register_post_accumulate_grad_hook(halve)


def hook_of_several_gradients(model: MLP) -> None:
    def double(gradients: Sequence[Tensor | None]) -> None:
        assert gradients[0] is not None
        gradients[0].mul_(2)

    HELD.append(register_multi_grad_hook([linear(model).weight], double))


def hook_of_an_accumulation(model: MLP) -> None:
    node = get_gradient_edge(linear(model).weight).node
    node.register_prehook(lambda gradients: (gradients[0] * 0.5,))
    HELD.append(node)  # nobody else does


def noisy_hook(model: MLP) -> None:
    linear(model).register_forward_hook(
        lambda layer, _, output: output + 0.1 * np.random.random() if layer.training else output
    )


def parametrized(model: MLP) -> None:
    parametrize.register_parametrization(linear(model), "weight", Positive())


def weight_norm(model: MLP) -> None:
    parametrizations.weight_norm(linear(model))


def tied_weights(model: MLP) -> None:
    linear(model, 1).weight = linear(model, 2).weight


def tied_memory(model: MLP) -> None:
    linear(model, 2).weight = nn.Parameter(linear(model, 1).weight.detach())


def shared_layer(model: MLP) -> None:
    model.layers[-3] = model.layers[-5]


def extra_parameter(model: MLP) -> None:
    model.scale = nn.Parameter(torch.ones(1))


def no_bias(model: MLP) -> None:
    linear(model).bias = None  # ty: ignore[invalid-assignment]


def one_bias_for_all(model: MLP) -> None:
    linear(model).bias = nn.Parameter(torch.zeros(1))


def own_parameter_type(model: MLP) -> None:
    linear(model).weight = Scaled(linear(model).weight.detach())


def replaced_forward(model: MLP) -> None:
    own = model.forward
    vars(model)["forward"] = lambda numbers, codes: 2 * own(numbers, codes)


def replaced_forward_of_a_layer(model: MLP) -> None:
    layer = linear(model)
    own = layer.forward
    vars(layer)["forward"] = lambda inputs: own(inputs).tanh()


def changed_class(model: MLP) -> None:
    model.__class__ = Doubled


def padded_embedding(model: MLP) -> None:
    table = model.embeddings[0]
    assert isinstance(table, nn.Embedding)
    table.padding_idx = 1


def normed_embedding(model: MLP) -> None:
    table = model.embeddings[0]
    assert isinstance(table, nn.Embedding)
    table.max_norm = 0.5


def scaled_embedding(model: MLP) -> None:
    table = model.embeddings[0]
    assert isinstance(table, nn.Embedding)
    table.scale_grad_by_freq = True


def other_dropout(model: MLP) -> None:
    linear(model)  # the layers are there
    model.layers.insert(2, nn.Dropout(0.5))


def whole_dropout(model: MLP) -> None:
    for index in (2, 5):
        model.layers.insert(index, nn.Dropout(1.0))


CHANGES: dict[str, Callable[[MLP], None]] = {
    change.__name__.replace("_", " "): change
    for change in (
        replaced_activation, no_activation, activation_of_a_subclass, added_norm, removed_layer, appended_layer,
        frozen_layer, frozen_bias, frozen_embedding, forward_hook, forward_pre_hook, backward_hook, gradient_hook,
        accumulated_gradient_hook, hook_of_several_gradients,
        hook_of_an_accumulation, noisy_hook, parametrized, weight_norm, tied_weights, tied_memory, shared_layer,
        extra_parameter, no_bias, one_bias_for_all, own_parameter_type, replaced_forward, replaced_forward_of_a_layer,
        changed_class, padded_embedding, normed_embedding, scaled_embedding, other_dropout, whole_dropout,
    )
}  # fmt: skip


def changed(features: FeatureSpec, change: str, **options: Any) -> nn.Module:
    """Return an MLP of three layers of 8 units, changed."""
    model = MLP(features, [8, 8, 8], **options)
    CHANGES[change](model)
    return model


def fewer_categories(features: FeatureSpec) -> nn.Module:
    """Return an MLP that looks at the first category alone."""
    first = FeatureSpec(
        numbers=features.numbers,
        categories=features.categories[:1],
        label=features.label,
        task=features.task,
        classes=features.classes,
    )
    return MLP(first, [8])
