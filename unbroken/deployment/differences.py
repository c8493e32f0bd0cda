"""What is other on the server than in the project, by field."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LONGEST = 160
NOTHING = "nothing"
ABSENT = object()


@dataclass(frozen=True)
class Difference:
    """One value that differs; `field` is the whole that an update names, `path` the place inside it."""

    field: str
    path: str
    on_server: Any
    in_project: Any

    def __str__(self) -> str:
        """Return the difference as it is shown."""
        return f"{self.path}: {_shown(self.on_server)} -> {_shown(self.in_project)}"


def differences(on_server: Mapping[str, Any], in_project: Mapping[str, Any]) -> list[Difference]:
    """Return what differs, in the order of the project's fields; a field that it does not name may be anything."""
    return [
        Difference(field, *difference)
        for field, value in in_project.items()
        for difference in _compare(field, on_server.get(field), value)
    ]


def _compare(path: str, on_server: Any, in_project: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(on_server, dict) and isinstance(in_project, dict):
        for key in {**in_project, **on_server}:
            yield from _compare(f"{path}.{key}", on_server.get(key, ABSENT), in_project.get(key, ABSENT))
    elif isinstance(on_server, list) and isinstance(in_project, list) and len(on_server) == len(in_project):
        for place, pair in enumerate(zip(on_server, in_project, strict=True)):
            yield from _compare(f"{path}[{place}]", *pair)
    elif on_server != in_project:
        yield path, on_server, in_project


def _shown(value: Any) -> str:
    if value is None or value is ABSENT:
        return NOTHING
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
