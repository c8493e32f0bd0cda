"""The project in a folder: the name that it is deployed under, and where what `unbroken serve` starts keeps its state."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unbroken.config.validation import require
from unbroken.errors import ConfigError

VARIABLE = "UNBROKEN_PROJECT"
SETTINGS = "run.toml"
NAME = re.compile(r"(?!prefect)[a-z0-9]([a-z0-9._-]{0,38}[a-z0-9])?", re.IGNORECASE)
"""What Prefect takes as the name of a pool and of a deployment, and a shell and a URL as one word."""
EXPECTED = "up to 40 letters, digits, '.', '_' and '-' between letters or digits, not beginning with 'prefect'"
NAMELESS = "project"


@dataclass(frozen=True)
class OwnServer:
    """The Prefect server that `unbroken serve` started last in a project's folder."""

    api: str
    auth: bool


@dataclass(frozen=True)
class Project:
    """A folder with flows, and the name of its work pool, which its deployments begin with."""

    folder: Path
    name: str

    @classmethod
    def of(cls, folder: Path, environment: Mapping[str, str]) -> "Project":
        """Return the project in a folder.

        Its name is UNBROKEN_PROJECT, else `project` of its run.toml, else the one it was served under before, else the
        folder's, so that another name of the folder alone is no other project.

        Raises:
            ConfigError: The name that is set cannot be one.
        """
        folder = folder.absolute()
        project = cls(folder, safe_name(folder.name))
        name = (
            _checked(VARIABLE, environment.get(VARIABLE, ""))
            or _checked(f"{SETTINGS}: project", _set_name(folder / SETTINGS))
            or project.record.get("project")
        )
        return cls(folder, name or project.name)

    @property
    def state(self) -> Path:
        """The private folder of what `unbroken serve` starts: its logs, secret and database."""
        return self.folder / ".serve"

    @property
    def secret_file(self) -> Path:
        """The file with what the server asks for, as `user:password`."""
        return self.state / "auth"

    @property
    def secret(self) -> str:
        """What the server asks for; empty if it was never generated."""
        return self.secret_file.read_text("utf-8").strip() if self.secret_file.is_file() else ""

    @property
    def record_file(self) -> Path:
        """The file that says what was served last."""
        return self.state / "project.json"

    @property
    def record(self) -> dict[str, Any]:
        """What was served last: the project's name, and the `api` and `auth` of a server of its own."""
        if not self.record_file.is_file():
            return {}
        try:
            return dict(json.loads(self.record_file.read_text("utf-8")))
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"{self.record_file}: found no JSON object ({error}). Delete it, and type `unbroken serve` again"
            ) from error

    @property
    def own_server(self) -> OwnServer | None:
        """The server that was started last, whether or not it runs."""
        record = self.record
        return OwnServer(record["api"], auth=bool(record.get("auth", True))) if "api" in record else None


def safe_name(text: str) -> str:
    """Return a text as a project's name: what cannot be in one becomes a dash."""
    words = re.sub(r"[^a-z0-9._-]+", "-", text, flags=re.IGNORECASE).strip("._-")[:40].strip("._-")
    return words if NAME.fullmatch(words) else f"{NAMELESS}-{words}"[:40].strip("._-")


def _checked(origin: str, name: str) -> str:
    require(not name or NAME.fullmatch(name) is not None, origin, name, EXPECTED)
    return name


def _set_name(path: Path) -> str:
    if not path.is_file():
        return ""
    try:
        name = tomllib.loads(path.read_text("utf-8")).get("project", "")
    except ValueError as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error
    require(isinstance(name, str), f"{SETTINGS}: project", name, EXPECTED)
    return name
