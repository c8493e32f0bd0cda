"""What a user can set of the network and of where its weights come from."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from unbroken.config.validation import STRICT, number, require, require_local_path, require_types

PRESETS = ("mlp", "plr", "realmlp", "tabm")
"""The networks that come with the library, by name."""
AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network."""

    __pydantic_config__ = STRICT

    factory: str = "auto"
    """`auto`, which is `tabm`, but `mlp` for the built-in sample, for options without a factory and for `start.scaler` refit; a
    retraining keeps its champion's. `mlp`, hidden layers; `plr`, an MLP whose numbers enter through periodic embeddings;
    `realmlp`, a larger one with the defaults of RealMLP; `tabm`, many networks in one, which predict by their mean; or
    `package.module:function` that takes a `FeatureSpec` and the options and returns a `torch.nn.Module`."""
    options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the factory; for `mlp`: hidden (layer sizes, default [128, 64]) and dropout (0 or
    more and below 1, default 0); for the others these, and of each number's embedding frequencies (how many cosines,
    default 16), width (its size, default 4) and scale (standard deviation of the frequencies, default 0.1); for `tabm` also
    members (how many networks, default 8)."""

    def __post_init__(self) -> None:
        require_types(self, "model.")
        module, _, function = self.factory.partition(":")
        valid = all(part.isidentifier() for part in [*module.split("."), function])
        expected = f"{', '.join(map(repr, (AUTO, *PRESETS)))} or 'package.module:function'"
        require(self.factory in (AUTO, *PRESETS) or valid, "model.factory", self.factory, expected)
        if self.factory in (AUTO, *PRESETS):
            _require_preset_options(self.factory, self.options)


def _require_preset_options(factory: str, options: dict[str, Any]) -> None:
    dropout, hidden, scale = options.get("dropout", 0.0), options.get("hidden", []), options.get("scale", 1.0)
    valid = _is_number(dropout) and 0 <= dropout < 1
    require(valid, "model.options.dropout", dropout, "a dropout probability, 0 or more and below 1")
    name = f"model.factory {factory} with options {options}: hidden"
    valid = isinstance(hidden, list | tuple) and all(type(size) is int and size >= 1 for size in hidden)
    require(valid, name, hidden, "a list of whole numbers, each at least 1")
    require(_is_number(scale) and scale > 0, "model.options.scale", scale, "a finite number above 0")
    for option, least in SMALLEST.items():
        count = options.get(option, least)
        valid = type(count) is int and count >= least
        require(valid, f"model.options.{option}", count, f"a whole number, at least {least}")


SMALLEST = {"frequencies": 1, "width": 2, "members": 1}
"""The least that an option of a preset can count."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True, kw_only=True)
class StartConfig:
    """Where the weights of a new run come from; a run that has a checkpoint always goes on from that."""

    __pydantic_config__ = STRICT

    warm_from: str | None = None
    """Published checkpoint to start from, its manifest beside it; from random weights when not given."""
    scaler: Literal["keep", "refit"] = "keep"
    """`keep` uses that checkpoint's encoder; `refit` fits ranges and further categories to the new rows and folds the
    change into the first layer, so that the first prediction is the same."""
    optimizer: Literal["reset", "keep"] = "reset"
    """`keep` goes on with the optimizer's moments; only with the same optimizer and scaler `keep`."""
    learning_rate_factor: float = number(1.0, above=0)
    """Multiplies `training.learning_rate` in a warm start."""

    def __post_init__(self) -> None:
        require_types(self, "start.")
        if self.warm_from is not None:
            require_local_path("start.warm_from", self.warm_from)
        conflict = self.optimizer == "keep" and self.scaler == "refit"
        require(
            not conflict, "start.optimizer", self.optimizer, "'reset' with start.scaler refit, whose weights it changes"
        )
