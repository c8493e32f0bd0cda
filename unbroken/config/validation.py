"""What a setting must be: each check names the field, the value found and what was expected."""

import dataclasses
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from unbroken.config.credentials import mask_urls, may_hold_credentials
from unbroken.errors import ConfigError

STRICT = {"extra": "forbid", "hide_input_in_errors": True}
"""How pydantic reads settings: unknown keys are refused, and errors do not repeat what was set."""
LARGEST_INTEGER = (1 << 63) - 1
RUN_NAME, RUN_KEY = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}"), re.compile("[0-9a-f]{16}")
LIMITS, CHOICES = "limits", "choices"
"""What the metadata of a field can hold beside its help: what a number has to be, and what returns the words to choose from."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a number has to be; an end that is None is open.

    Attributes:
        least: The least number.
        above: The number that it has to exceed.
        most: The greatest number.
        below: The number that it must not reach.
    """

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def hold(self, value: float) -> bool:
        """Tell whether a number is within."""
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"{self.least:g} .. {self.most:g}"
        ends = [self._low()] if self.least is not None or self.above is not None else []
        return " and ".join([*ends, *([f"below {self.below:g}"] if self.below is not None else [])])

    def _low(self) -> str:
        if self.above is not None:
            return f"above {self.above:g}" if self.below is not None else f"a finite number above {self.above:g}"
        return f"at least {self.least}" if isinstance(self.least, int) else f"{self.least:g} or more"


def number(default: float | str | None, **limits: float) -> Any:
    """Return a field of a dataclass for a number within `Limits`; a default of another type is taken as it is."""
    return dataclasses.field(default=default, metadata={LIMITS: Limits(**limits)})


def choice(default: str | None, choices: tuple[str, ...] | Callable[[], tuple[str, ...]]) -> Any:
    """Return a field of a dataclass for a text that a form lets choose; others may be right too."""
    known = choices if callable(choices) else lambda: choices
    return dataclasses.field(default=default, metadata={CHOICES: known})


def require(condition: bool, name: str, value: object, expected: str) -> None:
    """Check a setting.

    Args:
        condition: What has to hold.
        name: The setting as the user writes it, e.g. `training.epochs`.
        value: What was set.
        expected: What can be set, in words that follow "expected".

    Raises:
        ConfigError: The condition does not hold; names the setting, the value found and what was expected.
    """
    if not condition:
        raise ConfigError(f"{name}: found {_shown(value)}, expected {expected}")


def require_named(name: str, value: str, expected: str) -> None:
    """Raise ConfigError if a setting that has no default was left out; `expected` as in `require`."""
    if not value:
        raise ConfigError(f"{name}: found nothing, expected {expected}")


def require_types(settings: Any, group: str) -> None:
    """Raise ConfigError naming the first field of a dataclass that is not of its type, no bounded number, or out of limits."""
    fields = {field.name: field for field in dataclasses.fields(settings)}
    for name, declared in _declared_types(type(settings)).items():
        value = getattr(settings, name)
        try:
            declared.validate_python(value, strict=True)
        except ValidationError as error:
            expected = " or ".join(problem["msg"].removeprefix("Input should be ") for problem in error.errors())
            raise ConfigError(f"{group}{name}: found {_shown(value)}, expected {expected}") from None
        require_finite(f"{group}{name}", value)
        limits = fields[name].metadata.get(LIMITS)
        if limits is not None and isinstance(value, int | float):
            require(limits.hold(value), f"{group}{name}", value, str(limits))


def require_finite(name: str, value: object) -> None:
    """Raise ConfigError if a number is NaN, infinite or beyond 64 bits, also inside a list or a dict; seeds have any size."""
    if isinstance(value, dict):
        for key, item in value.items():
            require_finite(f"{name}.{key}", item)
    elif not name.endswith(".seed"):
        numbers = value if isinstance(value, list | tuple) else [value]
        require(all(map(_is_bounded, numbers)), name, value, f"finite, of at most {LARGEST_INTEGER}")


def _is_bounded(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or abs(value) <= LARGEST_INTEGER


def require_path(name: str, path: str) -> None:
    """Raise ConfigError unless a text can be a path."""
    require(bool(path.strip()) and "\0" not in path, name, path, "a path, neither empty nor with a null character")


def require_local_path(name: str, path: str) -> None:
    """Raise ConfigError unless a text can be a path on this machine; a URL would be taken for a folder of that name."""
    require_path(name, path)
    require("://" not in path, name, path, "a path on this machine, not a URL")


def require_run_name(name: str) -> None:
    """Raise ConfigError unless a word can name a run: it must be no path, no option and no key of a run."""
    fits = RUN_NAME.fullmatch(name) and not RUN_KEY.fullmatch(name)
    expected = (
        "1 to 64 letters, digits, dots, dashes and underscores, first a letter or a digit; and no 16 digits of a key"
    )
    require(bool(fits), "name", name, expected)


def require_no_credentials(name: str, url: str) -> None:
    """Raise ConfigError if a URL holds a user, a password, a query or a fragment; the message repeats only its scheme."""
    if may_hold_credentials(url):
        kind = url.partition("://")[0] if "://" in url else "malformed"
        raise ConfigError(
            f"{name}: found credentials or a query in a {kind} URL, expected none, since it is logged and stored. "
            f"Give credentials in the environment, e.g. FSSPEC_S3_KEY"
        )


def _shown(value: object) -> str:
    if isinstance(value, str) and may_hold_credentials(value):
        return "a URL that may hold credentials"
    return mask_urls(repr(value))


@cache
def _declared_types(group: type) -> dict[str, TypeAdapter[Any]]:
    return {name: TypeAdapter(kind) for name, kind in get_type_hints(group).items()}
