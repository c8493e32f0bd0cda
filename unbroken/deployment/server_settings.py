"""What the server of a project is started with: its database, and how long it keeps what ended."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from prefect.settings import get_current_settings

from unbroken.deployment.database import SQLITE, connection_url, shown
from unbroken.errors import ConfigError
from unbroken.storage import atomic

EVENT_DAYS = 7
"""Events are many and small: they go after a week at the latest, which is Prefect's own limit."""

DATABASE_URLS = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
DATABASE_VARIABLES = ("PREFECT_SERVER_DATABASE_", "PREFECT_API_DATABASE_")
"""How the variables of Prefect begin that say where the database is, and may hold its password."""


@dataclass(frozen=True)
class ServerSettings:
    """What a person chooses about the server of a project."""

    database: str = field(default=SQLITE, repr=False)
    """`sqlite`, or the URL of a PostgreSQL."""

    keep_days: int = 30
    """Days after its end that a run is kept with its log and reports."""

    def __post_init__(self) -> None:
        """Raise ConfigError for what no server can be started with."""
        connection_url(self.database)
        if self.keep_days < 1:
            raise ConfigError(f"--keep-days: found {self.keep_days}, expected a number of days from 1 on")

    @classmethod
    def read(cls, path: Path) -> "ServerSettings":
        """Return the settings that were stored in a file, the defaults if there is none."""
        return cls(**json.loads(path.read_bytes())) if path.exists() else cls()

    def write(self, path: Path) -> None:
        """Store the settings, which may hold a password, for the owner's eyes alone."""
        atomic.make_folder(path.parent)
        atomic.write(path, json.dumps(asdict(self)).encode())

    def __str__(self) -> str:
        """Return the settings as they may be printed."""
        return f"database {shown(self.database)}, {self.keep_days} days kept"

    def environment(self) -> dict[str, str]:
        """Return the variables of a server's process; what a person set for Prefect by name comes first."""
        chosen = {
            "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",  # the latter with their logs and artifacts
            "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": f"P{self.keep_days}D",
            "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"P{min(self.keep_days, EVENT_DAYS)}D",
        }
        variables = chosen | _set_for_prefect() | os.environ
        for name in DATABASE_URLS:
            variables.pop(name, None)
        url = connection_url(self.database)
        return variables | ({DATABASE_URLS[0]: url} if url else {})


def database_set_for_prefect() -> str | None:
    """Return the URL of the database that the environment or the Prefect profile names, if one does."""
    return _set_for_prefect().get(DATABASE_URLS[0])


def without_database(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables for processes that are no server: without the place and password of its database."""
    return {name: value for name, value in variables.items() if not name.upper().startswith(DATABASE_VARIABLES)}


def _set_for_prefect() -> dict[str, str]:
    return get_current_settings().to_environment_variables(exclude_unset=True)
