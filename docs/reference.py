"""Write docs/settings.md, the reference of all settings, from the dataclasses that declare them: `make docs`."""

import dataclasses
import sys
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from docstring_parser import parse_from_object

from unbroken.config import Config, PredictConfig, RetrainConfig
from unbroken.config.validation import CHOICES, LIMITS
from unbroken.sweeps.settings import SweepConfig

PAGE = Path(__file__).with_name("settings.md")
HEAD = """# Settings

Written by `make docs` from the settings' own docstrings, which `--help` and the forms in the UI show too.

A setting is typed as `--training.epochs 10`, or stands in a file as `epochs = 10` under `[training]`; what is typed wins. In Python
it is a field: `unbroken.Config(training=unbroken.TrainingConfig(epochs=10))`. A setting that is wrong ends a command at once, with
its name, what was found and what was expected.
"""
TYPED_ALONE = {SweepConfig: ("sweep.", "train")}
"""Settings whose command takes a part of them under the names that it has elsewhere: the prefix of the others, and that part."""
COMMANDS: dict[str, tuple[Any, str]] = {
    "unbroken train": (Config, "They stand in `run.toml`."),
    "unbroken sweep": (SweepConfig, "Those of `unbroken train` are typed beside them; they stand in `run.toml`."),
    "unbroken retrain": (RetrainConfig, "They stand in `retrain.toml`."),
    "unbroken predict": (PredictConfig, "They stand in `predict.toml`."),
}
WORDS: dict[Any, str] = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "`true` or `false`",
    type(None): "nothing",
    Any: "any value",
}
TABLE = "| setting | default | takes | what it does |\n|---|---|---|---|"


def page() -> str:
    """Return the page as it has to be."""
    done: dict[type, str] = {}
    sections = [HEAD]
    for command, (settings, where) in COMMANDS.items():
        prefix, left_out = TYPED_ALONE.get(settings, ("", ""))
        sections += [f"# `{command}`\n\n{where}\n", *_sections(settings, prefix, done, left_out)]
    return "\n".join(sections)


def _sections(group: Any, prefix: str, done: dict[type, str], left_out: str = "") -> list[str]:
    """Return a section for a dataclass of settings and for each inside it; one that was shown before is only named."""
    hints = {name: kind for name, kind in get_type_hints(group).items() if name != left_out}
    inner = {name: kind for name, kind in hints.items() if dataclasses.is_dataclass(kind)}
    texts = {param.arg_name: param.description or "" for param in parse_from_object(group).params}
    rows = [
        _row(field, hints[field.name], f"{prefix}{field.name}", texts.get(field.name, ""))
        for field in dataclasses.fields(group)
        if field.name not in (*inner, left_out)
    ]
    title = f"## `{prefix.removesuffix('.')}`" if prefix else "## At the top"
    summary = (group.__doc__ or "").partition("\n\n")[0]
    sections = ["\n".join([title, "", *([summary, ""] if prefix else []), TABLE, *rows, ""])] if rows else []
    for name, kind in inner.items():
        path = f"{prefix}{name}"
        if kind in done:
            text = f"{texts.get(name) or kind.__doc__} As those of `{done[kind]}`, each with `{path}.` before its name."
            sections.append(f"## `{path}`\n\n{' '.join(text.split())}\n")
        else:
            done[kind] = path
            sections += _sections(kind, f"{path}.", done)
    done[group] = prefix.removesuffix(".") or "unbroken train"
    return sections


def _row(field: "dataclasses.Field[Any]", kind: Any, name: str, text: str) -> str:
    cells = (f"`{name}`", _default(field), _kind(kind, field), text)
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def _default(field: "dataclasses.Field[Any]") -> str:
    value = field.default
    if value is dataclasses.MISSING:
        assert field.default_factory is not dataclasses.MISSING
        value = field.default_factory()
    if value is None or (not value and not isinstance(value, bool | int | float)):
        return ""
    return (
        f"`{value:g}`" if isinstance(value, float) else f"`{str(value).lower() if isinstance(value, bool) else value}`"
    )


def _kind(kind: Any, field: "dataclasses.Field[Any]") -> str:
    words = _words(kind)
    if limits := field.metadata.get(LIMITS):
        words = f"{words}; {str(limits).removeprefix('a finite number ')}"
    if choices := field.metadata.get(CHOICES):
        words = f"{words}, such as {', '.join(f'`{choice}`' for choice in choices())}"
    return words


def _words(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(part) for part in inner if part is not type(None))
    if origin is tuple:
        return f"list of {_words(inner[0])}"
    if origin is dict:
        return f"table of {_words(inner[1])}"
    return WORDS.get(kind) or f"`{getattr(kind, '__name__', kind)}`"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.stdout.write(f"{PAGE}\n")
