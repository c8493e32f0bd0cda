"""The help of each setting in the form that Prefect's UI makes of a flow's parameters."""

import dataclasses
import inspect
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from docstring_parser import parse_from_object


def explain_parameters(function: Callable[..., Any]) -> None:
    """Put the text under each field of a flow's settings where the form looks for it.

    Pydantic can do that (`use_attribute_docstrings`), but parses the source again for every schema of every flow and stage.
    """
    for parameter in inspect.signature(function).parameters.values():
        _explain(parameter.annotation)


def _explain(settings: Any) -> None:
    if not dataclasses.is_dataclass(settings):
        return
    texts = {text.arg_name: text.description for text in parse_from_object(settings).params}
    for field in dataclasses.fields(settings):
        _explain(field.type)
        if text := texts.get(field.name):
            field.metadata = MappingProxyType({"description": inspect.cleandoc(text)})
