"""Help texts in the form that Prefect's UI makes of a flow's parameters."""

import dataclasses
import inspect
from collections.abc import Callable
from functools import cache
from types import MappingProxyType
from typing import Any

from docstring_parser import parse_from_object


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
        if text := texts.get(field.name):
            field.metadata = MappingProxyType({"description": inspect.cleandoc(text)})
