"""The settings that a sweep searches: read from TOML, checked before any work, put into the settings of a training."""

import dataclasses
import json
import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Discriminator, Tag, TypeAdapter, ValidationError

from unbroken.config import Config
from unbroken.config.validation import STRICT, require, require_finite
from unbroken.errors import ConfigError
from unbroken.storage import own_files

DIGITS = 6
"""Significant digits of a number that is drawn: as many as a person types again."""
GROUPS = ("model", "preprocess", "training")
FIXED = {
    "training.epochs": "it is how long each trial may train; sweep.pruner and training.patience end those that get no better",
    "training.monitor": "the trials are compared by it",
    "training.test_scores": "the test rows are scored for the best trial alone",
    "training.memory_limit": "the weights do not depend on it",
}
"""Settings that all trials share, and why."""
Value = Any


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones where both are written as whole numbers."""

    __pydantic_config__ = STRICT

    low: int | float
    high: int | float
    log: bool = False
    """Drawn evenly by their logarithm."""
    step: int | float | None = None
    """Only low, low + step, and so on."""

    def __str__(self) -> str:
        words = ", by its logarithm" if self.log else f", by steps of {self.step:g}" if self.step is not None else ""
        return f"{self.low:g} .. {self.high:g}{words}"

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def corners(self) -> list[Value]:
        """Return the values at the ends."""
        return [self.low, self.high]

    def value(self, drawn: float) -> Value:
        """Return what is set for a number that was drawn."""
        if self.whole:
            return int(drawn)
        return min(max(float(f"{drawn:.{DIGITS}g}"), float(self.low)), float(self.high))

    @property
    def size(self) -> float:
        """How many values there are."""
        step = self.step or (1 if self.whole else None)
        return math.inf if step is None else math.floor((self.high - self.low) / step + 1e-9) + 1

    def require_sound(self, subject: str) -> None:
        """Raise ConfigError if no numbers, or other ones than the user may think, would be drawn."""
        for name in ("low", "high", "step"):
            require_finite(f"{subject}.{name}", getattr(self, name))
        require(self.low < self.high, f"{subject}.high", self.high, f"above low, {self.low}")
        require(not self.log or self.low > 0, f"{subject}.low", self.low, "above 0 with log = true")
        require(not (self.log and self.step is not None), f"{subject}.step", self.step, "none with log = true")
        if self.step is not None:
            fits = 0 < self.step <= self.high - self.low
            require(fits, f"{subject}.step", self.step, f"above 0, and at most high - low, {self.high - self.low:g}")
            whole = isinstance(self.step, int) or not self.whole
            require(whole, f"{subject}.step", self.step, "a whole number, as low and high are")


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Values to choose from, of any kind."""

    __pydantic_config__ = STRICT

    choices: tuple[Value, ...]

    def __str__(self) -> str:
        return " or ".join(map(str, self.choices))

    def corners(self) -> list[Value]:
        """Return all of them."""
        return list(self.choices)

    def value(self, drawn: float) -> Value:
        """Return the value of a position."""
        return self.choices[int(drawn)]

    @property
    def size(self) -> float:
        """How many values there are."""
        return len(self.choices)

    def require_sound(self, subject: str) -> None:
        """Raise ConfigError if there is nothing to choose, or one thing twice."""
        require(bool(self.choices), f"{subject}.choices", [], "one value or more")
        for index, value in enumerate(self.choices):
            require_finite(f"{subject}.choices", value)
            twice = any(repr(value) == repr(other) for other in self.choices[:index])
            require(not twice, f"{subject}.choices", value, "each value once")


def _kind(table: Any) -> str:
    if isinstance(table, dict):
        return "choices" if "choices" in table else "range"
    return "choices" if isinstance(table, Choices) else "range"


Dimension = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")],
    Discriminator(_kind),
]
DIMENSION: TypeAdapter[Range | Choices] = TypeAdapter(Dimension)


@dataclass(frozen=True, kw_only=True)
class Space:
    """What is searched, by the dotted names of the settings in alphabetical order."""

    dimensions: dict[str, Dimension]

    @classmethod
    def read(cls, path: Path, config: Config) -> "Space":
        """Read a space and check it against the settings of a training.

        Args:
            path: A TOML file, one table a setting.
            config: The settings that the trials share.

        Raises:
            ConfigError: The file is no such space, or a value in it cannot be set; names the file, the setting and the way out.
        """
        try:
            tables = tomllib.loads(own_files.read(path).decode("utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error
        found = dict(sorted(_leaves(tables)))
        require(
            bool(found), str(path), {}, 'a setting or more, e.g. "training.learning_rate" = { low = 1e-4, high = 0.1 }'
        )
        space = cls(dimensions={name: _dimension(f"{path}: {name}", name, table) for name, table in found.items()})
        space._require_settable(path, config)
        return space

    @property
    def size(self) -> float:
        """How many trials differ from each other; infinity where a number is any in its range."""
        return math.prod(dimension.size for dimension in self.dimensions.values())

    def settings(self, drawn: dict[str, float]) -> dict[str, Value]:
        """Return the settings of what was drawn, by name."""
        return {name: dimension.value(drawn[name]) for name, dimension in self.dimensions.items()}

    def _require_settable(self, path: Path, config: Config) -> None:
        first = {name: dimension.corners()[0] for name, dimension in self.dimensions.items()}
        for name, dimension in self.dimensions.items():
            for value in dimension.corners():
                try:
                    apply(config, first | {name: value})
                except ConfigError as error:
                    raise ConfigError(f"{path}: {name}: with {value!r}: {error}") from None


def apply(config: Config, settings: dict[str, Value]) -> Config:
    """Return settings of a training with others in their place, by dotted names; raise ConfigError if they do not fit."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in settings.items():
        group, field, *key = name.split(".", 2)
        changed = groups.setdefault(group, {})
        plain = tuple(value) if isinstance(value, list) and not key else value
        changed[field] = {**changed.get(field, getattr(getattr(config, group), field)), key[0]: value} if key else plain
    return dataclasses.replace(
        config, **{group: dataclasses.replace(getattr(config, group), **changed) for group, changed in groups.items()}
    )


def _leaves(tables: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what stands under each setting's name, whether that is written as one key or as tables in tables."""
    for key, value in tables.items():
        name = f"{before}{key}"
        inner = isinstance(value, dict) and value and all(isinstance(item, dict) for item in value.values())
        if inner:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


def _dimension(subject: str, name: str, table: Any) -> Range | Choices:
    _require_setting(subject, name)
    shape = "a table such as { low = 1e-4, high = 1e-1, log = true } or { choices = [64, 256] }"
    require(isinstance(table, dict), subject, table, shape)
    require(_is_json(table), subject, table, "no dates and times")
    try:
        dimension = DIMENSION.validate_json(json.dumps(table), strict=True)
    except ValidationError as error:
        raise ConfigError(_in_words(subject, error, shape)) from None
    dimension.require_sound(subject)
    if isinstance(dimension, Range) and dimension.whole and _holds_float(name):
        return dataclasses.replace(dimension, low=float(dimension.low), high=float(dimension.high))
    return dimension


def _in_words(subject: str, error: ValidationError, shape: str) -> str:
    problem = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in problem["loc"][1:])
    match problem["type"]:
        case "missing" | "missing_keyword_only_argument":
            return f"{subject}: found no {key.partition('.')[0]}, expected {shape}"
        case "unexpected_keyword_argument" | "extra_forbidden":
            return f"{subject}: found {key}, expected {shape}"
    return f"{subject}.{key.partition('.')[0]}: found {problem.get('input')!r}, expected {shape}"


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except TypeError:
        return False
    return True


def _require_setting(subject: str, name: str) -> None:
    group, _, rest = name.partition(".")
    field, _, key = rest.partition(".")
    expected = f"a setting of {', '.join(GROUPS)}, by its dotted name"
    if group not in GROUPS or not field:
        raise ConfigError(f"{subject}: found no setting that trials may differ in, expected {expected}")
    fields = {one.name: one for one in dataclasses.fields(type(getattr(Config(), group)))}
    if field not in fields:
        raise ConfigError(f"{subject}: found no setting of this name, expected one of {', '.join(fields)} in {group}")
    if name in FIXED:
        raise ConfigError(f"{subject}: found a setting that all trials share, expected another one: {FIXED[name]}")
    table = isinstance(getattr(getattr(Config(), group), field), dict)
    if table != bool(key) or "." in key:
        example = f"{group}.{field}.NAME" if table else f"{group}.{field}"
        raise ConfigError(f"{subject}: found {name}, expected {example}")


def _holds_float(name: str) -> bool:
    group, field, *key = name.split(".", 2)
    return not key and isinstance(getattr(getattr(Config(), group), field), float)
