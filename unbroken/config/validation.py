"""What a setting must be: each check names the field, the value found and what was expected."""

import re
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from unbroken.errors import ConfigError

CREDENTIALS = re.compile(r"://[^/]*@|://.*[?&][^/=]*=")
"""A user before the host, or a query, where signed links keep their key."""


def require(holds: bool, name: str, found: object, expected: str) -> None:
    """Raise ConfigError naming the field, the value found and what was expected, unless `holds`."""
    if not holds:
        raise ConfigError(f"{name}: found {found!r}, expected {expected}")


def require_types(settings: Any, group: str) -> None:
    """Raise ConfigError naming the first field of a dataclass whose value is not of its declared type."""
    for name, declared in _declared_types(type(settings)).items():
        value = getattr(settings, name)
        try:
            declared.validate_python(value, strict=True)
        except ValidationError as error:
            expected = " or ".join(problem["msg"].removeprefix("Input should be ") for problem in error.errors())
            raise ConfigError(f"{group}{name}: found {value!r}, expected {expected}") from None


def require_path(name: str, path: str) -> None:
    """Raise ConfigError unless a text can be a path."""
    require(bool(path.strip()) and "\0" not in path, name, path, "a path, neither empty nor with a null character")


def require_no_credentials(name: str, url: str) -> None:
    """Raise ConfigError if a URL holds a user, a password or a query; the message repeats no more than its scheme."""
    if CREDENTIALS.search(url):
        raise ConfigError(
            f"{name}: found credentials or a query in a {url.partition('://')[0]} URL, expected none, since it is logged "
            f"and stored. Give credentials in the environment, e.g. FSSPEC_S3_KEY"
        )


@cache
def _declared_types(group: type) -> dict[str, TypeAdapter[Any]]:
    return {name: TypeAdapter(kind) for name, kind in get_type_hints(group).items()}
