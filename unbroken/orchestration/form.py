"""Help texts, limits and choices in the form that Prefect's UI makes of a flow's parameters; the server refuses what they do."""

import dataclasses
import inspect
from collections.abc import Callable
from functools import cache, partial
from types import MappingProxyType
from typing import Any

from docstring_parser import parse_from_object

from unbroken.config.validation import CHOICES, LIMITS, Limits

KEYWORDS = {"least": "minimum", "above": "exclusiveMinimum", "most": "maximum", "below": "exclusiveMaximum"}


def explain_parameters(function: Callable[..., Any]) -> None:
    """Put the text under each field of a flow's settings where the form looks for it.

    Pydantic can do that (`use_attribute_docstrings`), but parses the source again for every schema of every flow and stage.
    """
    for parameter in inspect.signature(function).parameters.values():
        explain(parameter.annotation)


@cache
def explain(settings: Any) -> None:
    """Put the text under each field of a dataclass, and of those inside it, into its metadata; once, since flows share them."""
    if not dataclasses.is_dataclass(settings):
        return
    texts = {text.arg_name: text.description for text in parse_from_object(settings).params}
    for field in dataclasses.fields(settings):
        explain(field.type)
        limits, choices = field.metadata.get(LIMITS), field.metadata.get(CHOICES)
        extra = {"json_schema_extra": partial(_constrain, limits, choices)} if limits or choices else {}
        help = {"description": inspect.cleandoc(text)} if (text := texts.get(field.name)) else {}
        field.metadata = MappingProxyType({**field.metadata, **help, **extra})


def _constrain(limits: Limits | None, choices: Callable[[], tuple[str, ...]] | None, schema: dict[str, Any]) -> None:
    """Put the limits into the schema of a number, and the choices into that of a text, also where it is one of several."""
    ends = {KEYWORDS[name]: end for name, end in vars(limits).items() if end is not None} if limits else {}
    for part in schema.get("anyOf", [schema]):
        if part.get("type") in ("integer", "number"):
            part.update(ends)
        elif part.get("type") == "string" and choices:
            part["enum"] = list(choices())
