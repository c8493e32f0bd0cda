"""The command line that means a run again: its settings, as far as they are not what a bare command would take."""

import dataclasses
import json
import shlex
from typing import Any

from unbroken.config import Config
from unbroken.stages.nearest_run import Settings

LEFT_OUT = ("name",)
"""Settings that no command needs to repeat."""


def effective_defaults(project: Settings) -> Settings:
    """Return what a bare `unbroken train` takes, by dotted names: the defaults, and over them those of the project."""
    return by_name(dataclasses.asdict(Config())) | by_name(project)


def by_name(settings: Settings) -> Settings:
    """Return settings in their groups by the dotted names that a command line takes, as JSON has their values."""
    groups = {field.name for field in dataclasses.fields(Config) if dataclasses.is_dataclass(field.default_factory)}
    names: Settings = {}
    for name, value in settings.items():
        inner = value if name in groups and isinstance(value, dict) else None
        names |= {name: value} if inner is None else {f"{name}.{key}": item for key, item in inner.items()}
    return json.loads(json.dumps(names))


def changed_settings(settings: Settings, defaults: Settings) -> Settings:
    """Return those of a run's settings, given in their groups, that are not at their defaults, by dotted names."""
    names = by_name(settings)
    return {
        name: value
        for name, value in names.items()
        if name in defaults and value != defaults[name] and name not in LEFT_OUT
    }


def train_words(settings: Settings, defaults: Settings) -> list[str]:
    """Return the arguments of `unbroken train` for a run's settings, given in their groups."""
    pairs = changed_settings(settings, defaults).items()
    return [word for name, value in pairs for word in (f"--{name}", _word(value))]


def train_command(words: list[str]) -> str:
    """Return the command of these arguments, to be pasted into a shell."""
    return shlex.join(["unbroken", "train", *words])


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
