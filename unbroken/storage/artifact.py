"""The values that travel between stages: small, frozen, JSON, and checkable against the disk."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from unbroken.errors import DataError
from unbroken.storage import atomic

Value = TypeVar("Value")
SHOWN_PROBLEMS, LONGEST_NAME = 3, 100


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file and the digest of its content."""

    path: str
    digest: str

    @classmethod
    def of(cls, path: Path, **details: Any) -> "Artifact":
        """Describe the file as it is now."""
        return cls(path=str(path), digest=atomic.digest(path), **details)


def artifacts_in(value: Any) -> Iterator[Artifact]:
    """Yield every file that a value names."""
    if isinstance(value, Artifact):
        yield value
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from artifacts_in(getattr(value, field.name))


def verify(value: Any) -> None:
    """Check every Artifact inside a value against the disk; raise DataError if one is missing or changed."""
    for artifact in artifacts_in(value):
        path = Path(artifact.path)
        if not path.is_file():
            raise DataError(f"{path}: the file is gone; run the same command again to make it anew")
        if (digest := atomic.digest_as(path, artifact.digest)) != artifact.digest:
            raise DataError(f"{path}: changed since it was made: found digest {digest}, expected {artifact.digest}")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def to_json(value: Any, *, indent: int | None = None) -> bytes:
    """Return a dataclass as JSON, the same bytes for the same content."""
    return _adapter(type(value)).dump_json(value, indent=indent)


def from_json(kind: type[Value], content: bytes, name: str) -> Value:
    """Read a dataclass back from JSON; raise DataError naming `name` if the content does not fit the type."""
    try:
        return _adapter(kind).validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[:SHOWN_PROBLEMS]
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))[:LONGEST_NAME]}: {e['msg']}" for e in first)
        raise DataError(f"{name}: not a whole {kind.__name__}: {problems}") from error
