"""The Prefect server that `unbroken serve` starts: where it listens, who may ask it, and where it keeps what it knows."""

import base64
import errno
import json
import secrets
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prefect.settings import get_current_settings

from unbroken.config.project import OwnServer, Project
from unbroken.config.validation import require
from unbroken.deployment.database import require_database
from unbroken.deployment.server_settings import ServerSettings, database_set_for_prefect
from unbroken.deployment.services import Service
from unbroken.errors import ConfigError, ServerError
from unbroken.storage import atomic

START_SECONDS = 120
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""What a server that listens everywhere is asked at, on its own machine."""
HTTP_PORT, LAST_PORT = 80, 65535
LEASES = {"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem"}
"""Kept in the server's memory, as by default, the slots of its runs would stay taken for ever once it died."""
COMMAND = [sys.executable, "-m", "unbroken.orchestration.server.cli", "server", "start"]


@dataclass(frozen=True)
class Options:
    """What was typed of the server; None leaves it to the settings, or as it was the last time.

    Attributes:
        port: Where it listens.
        auth: Whether it asks for a secret.
        database: `sqlite`, or the URL of a PostgreSQL.
        keep_days: Days after its end that a run is kept with its log and reports.
    """

    port: int | None = None
    auth: bool | None = None
    database: str | None = field(default=None, repr=False)
    keep_days: int | None = None

    def __post_init__(self) -> None:
        port = self.port
        require(port is None or 1 <= port <= LAST_PORT, "--port", port, f"a number from 1 to {LAST_PORT}")

    @property
    def are_set(self) -> bool:
        """Whether anything was typed."""
        return self != Options()


def start(project: Project, service: Service, options: Options) -> OwnServer:
    """Return the project's server, started if it does not run; raise ServerError if it cannot be, or other than asked."""
    running = project.own_server if service.is_running() else None
    server = running or _planned(project, options)
    settings = _settings(project, options, running=running is not None)
    if running:
        _require_same(project, running, options)
        started = False
    else:
        _require_free_port(server)
        require_database(settings.database)
        settings.write(_settings_file(project))
        if server.auth:
            _keep_secret(project)
        record(project, server)
        started = service.start(COMMAND, _environment(project, server, settings))
    _wait(project, server, service)
    print(f"server   {'started' if started else 'runs already'} at {server.api}, {settings}, log {service.log}")
    if not server.auth:
        print("auth     none: whoever reaches this port may see, start and change all")
    return server


def record(project: Project, server: OwnServer | None) -> None:
    """Keep what is served here, for the commands of this folder."""
    answer = {"api": server.api, "auth": server.auth} if server else {}
    atomic.write(project.record_file, json.dumps({"project": project.name, **answer}).encode())


def answers(project: Project, server: OwnServer) -> bool:
    """Tell whether the server answers and takes the project's secret."""
    login = base64.b64encode(project.secret.encode()).decode()
    headers = {"Authorization": f"Basic {login}"} if server.auth else {}
    try:
        return httpx.get(f"{server.api}/admin/version", headers=headers, timeout=5).is_success
    except httpx.HTTPError:
        return False


def _settings_file(project: Project) -> Path:
    """Return the file with what the server was started with last; it may hold a password."""
    return project.state / "server.json"


def _settings(project: Project, options: Options, *, running: bool) -> ServerSettings:
    """Return the settings of the last time, changed by those typed now; raise ConfigError if the server runs with others."""
    before = ServerSettings.read(_settings_file(project))
    databases = (options.database, database_set_for_prefect(), before.database)
    chosen = ServerSettings(
        database=next(name for name in databases if name is not None),
        keep_days=before.keep_days if options.keep_days is None else options.keep_days,
    )
    if chosen != before and running:
        raise ConfigError(
            f"{project.state}: found a server that runs with {before}, expected one with {chosen}. "
            f"Stop it first (unbroken stop), then it starts so"
        )
    return chosen


def _planned(project: Project, options: Options) -> OwnServer:
    """Return the server to start: at the port that is typed, else set, else of the last time, else Prefect's own."""
    settings = get_current_settings().server.api
    host = ANYWHERE.get(settings.host, settings.host)
    host = f"[{host}]" if ":" in host else host
    before = project.own_server
    port = options.port or settings.port
    if before and not options.port and "port" not in settings.model_fields_set:
        port = _port(before)
    return OwnServer(f"http://{host}:{port}/api", auth=options.auth is not False)


def _port(server: OwnServer) -> int:
    return httpx.URL(server.api).port or HTTP_PORT  # which is left out where it is the usual one


def _require_same(project: Project, server: OwnServer, options: Options) -> None:
    """Raise ConfigError if the server that runs is another one than was typed."""
    api = _planned(project, options).api if options.port else server.api
    asked = OwnServer(api, auth=server.auth if options.auth is None else options.auth)
    if asked != server:
        raise ConfigError(
            f"{server.api}: found this project's server running there {_described(server)}, expected {asked.api} "
            f"{_described(asked)}. End the one first: unbroken stop"
        )


def _described(server: OwnServer) -> str:
    return "with a secret" if server.auth else "without a secret"


def _require_free_port(server: OwnServer) -> None:
    host, port = get_current_settings().server.api.host, _port(server)
    try:
        _listen(host, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise ServerError(
                f"{host}:{port}: no server can listen there: {error.strerror or error}. Type another port: "
                f"unbroken serve --port {_next_free(host)}, or set PREFECT_SERVER_API_HOST and PREFECT_SERVER_API_PORT"
            ) from error
        raise ServerError(_occupied(server, host)) from error


def _occupied(server: OwnServer, host: str) -> str:
    other = f"unbroken serve --port {_next_free(host)} (or set PREFECT_SERVER_API_PORT)"
    try:
        prefect = httpx.get(f"{server.api}/health", timeout=5).text == "true"
    except (httpx.HTTPError, UnicodeError):
        prefect = False
    if not prefect:
        return f"{server.api}: found another program on that port, expected a free one. Start the server on another: {other}"
    return (
        f"{server.api}: found a Prefect server there that `unbroken serve` did not start in this folder. Start one of this "
        f"project's own on another port: {other}; or use that one: PREFECT_API_URL={server.api} unbroken serve, with "
        f"PREFECT_API_AUTH_STRING if it asks for one (another project's lies in its .serve/auth)"
    )


def _next_free(host: str) -> int:
    first = get_current_settings().server.api.port + 1
    for port in range(first, first + 100):
        try:
            _listen(host, port)
        except OSError:
            continue
        return port
    return first


def _listen(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.create_server((host, port), family=family).close()


def _keep_secret(project: Project) -> None:
    """Write what the server will ask for, unless it is there: that of the settings, or one that nobody knows."""
    setting = get_current_settings().server.api.auth_string
    secret = (
        (setting.get_secret_value() if setting else "") or project.secret or f"unbroken:{secrets.token_urlsafe(24)}"
    )
    if secret != project.secret:
        atomic.write(project.secret_file, secret.encode())
    project.secret_file.chmod(0o600)


def _environment(project: Project, server: OwnServer, chosen: ServerSettings) -> dict[str, str]:
    """Return the environment of the server; what the user's own settings say of it holds."""
    settings = get_current_settings()
    variables = LEASES | chosen.environment()
    variables.pop("PREFECT_SERVER_API_AUTH_STRING", None)
    # A home of its own, for database and slots: what two servers keep in one they would take for their own.
    variables |= {"PREFECT_HOME": str(project.state), "PREFECT_PROFILES_PATH": str(settings.profiles_path)}
    variables |= {"PREFECT_SERVER_API_PORT": str(_port(server))}
    if "cors_allowed_origins" not in settings.server.api.model_fields_set:  # else any page in a browser may ask
        page = server.api.removesuffix("/api")
        variables["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] = f"{page},http://localhost:{_port(server)}"
    if server.auth:
        return variables | {"PREFECT_SERVER_API_AUTH_STRING": project.secret}
    return variables | {"PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true"}


def _wait(project: Project, server: OwnServer, service: Service) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(project, server):
        if not service.is_running() or time.monotonic() > deadline:
            raise ServerError(f"{server.api}: the server did not start; see {service.log}")
        time.sleep(0.5)
