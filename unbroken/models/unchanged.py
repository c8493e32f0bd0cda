"""Is a model the MLP as it was built? What is written out for the MLP holds for that alone.

A factory of the user's own, or a hook, can change an MLP in place: another activation, a frozen layer, a hook of torch, a
weight that two layers share. So a model counts as unchanged only if everything in it is known: each module is of the exact
type and holds what a new one does, and each parameter is one of its own.
"""

from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.nn.modules.module import _has_any_global_hook

from unbroken.models.factory import Undrawn
from unbroken.models.mlp import MLP

SIZES = {"in_features", "out_features", "num_embeddings", "embedding_dim", "p"}
"""What may differ between two modules of a type, or is compared by the parameters."""

MARK = "unbroken"
FORWARD = {
    kind: kind.forward for kind in (MLP, nn.ModuleList, nn.Sequential, nn.Linear, nn.ReLU, nn.Dropout, nn.Embedding)
}


def is_unchanged_mlp(model: nn.Module) -> bool:
    """Tell whether a model is an MLP as its constructor made it, in training mode, with nothing added, replaced or shared."""
    if not reads_inputs_as_an_mlp(model):
        return False
    assert isinstance(model, MLP)
    layers, tables = list(model.layers), list(model.embeddings)
    dropout = [layer.p for layer in layers if isinstance(layer, nn.Dropout)]
    block = [nn.Linear, nn.ReLU, nn.Dropout] if dropout else [nn.Linear, nn.ReLU]
    hidden = len(layers) // len(block)
    return (
        [type(layer) for layer in layers] == [*block * hidden, nn.Linear]
        and all(_is_as_new(layer) for layer in layers)
        and len(set(dropout)) <= 1
        and all(0 < share < 1 for share in dropout)
        and _are_own_parameters(model, 2 * (hidden + 1) + len(tables))
    )


def reads_inputs_as_an_mlp(model: nn.Module) -> bool:
    """Tell whether a model takes its inputs as an MLP does: scaled and embedded, into a linear first layer."""
    if type(model) is not MLP or _has_any_global_hook():
        return False
    names = [(name, type(child)) for name, child in model.named_children()]
    if names != [("embeddings", nn.ModuleList), ("layers", nn.Sequential)] or not len(model.layers):
        return False
    tables, first = list(model.embeddings), model.layers[0]
    kinds = [type(table) for table in tables] == [nn.Embedding] * len(tables) and type(first) is nn.Linear
    return kinds and all(_is_as_new(module) for module in (model, model.embeddings, model.layers, *tables, first))


def _is_as_new(module: nn.Module) -> bool:
    kind = type(module)
    return kind in FORWARD and kind.forward is FORWARD[kind] and _content(module) == _content_when_new(kind)


@cache
def _content_when_new(kind: type[nn.Module]) -> dict[str, Any]:
    with Undrawn():
        new = {MLP: nn.Module, nn.Linear: partial(nn.Linear, 1, 1), nn.Embedding: partial(nn.Embedding, 1, 1)}
        return _content(new.get(kind, kind)())


def _content(module: nn.Module) -> dict[str, Any]:
    """Return all that a module holds beside its sizes and children: of parameters, buffers and hooks the names and types."""
    return {name: _types(value) for name, value in vars(module).items() if name not in SIZES}


def _types(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: type(inner) for name, inner in value.items() if not isinstance(inner, nn.Module)}


def _are_own_parameters(model: MLP, count: int) -> bool:
    """Tell whether so many parameters share no memory, have the shapes of their layers, and are trained by nothing else."""
    parameters = list(model.parameters())
    first = parameters[0]
    biased = [layer for layer in model.layers if isinstance(layer, nn.Linear)]
    return (
        len(parameters) == len({value.untyped_storage().data_ptr() for value in parameters}) == count
        and all(_is_plain(value) and value.device == first.device for value in parameters)
        and all(layer.weight.dim() == 2 and layer.bias.shape == layer.weight.shape[:1] for layer in biased)
        and all(isinstance(table, nn.Embedding) and table.weight.dim() == 2 for table in model.embeddings)
    )


def _is_plain(value: Tensor) -> bool:
    hooked = value._backward_hooks or value._post_accumulate_grad_hooks
    plain = value.layout is torch.strided and value.dtype is torch.float32 and value.is_leaf and value.requires_grad
    return plain and not hooked and value.is_contiguous() and not _is_watched(value)


def _is_watched(value: Tensor) -> bool:
    """Tell whether anyone holds the node of autograd that adds up a parameter's gradient, as who hooked it does.

    Its hooks cannot be listed. But torch makes the node anew whenever nobody holds it, and then a mark on it is gone.
    """
    _marks_of(value)[MARK] = True
    return MARK in _marks_of(value)


def _marks_of(value: Tensor) -> dict[str, object]:
    node: Any = get_gradient_edge(value).node  # declared as if its dict were a method
    return node.metadata
