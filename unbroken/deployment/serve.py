"""All that deployed flows need, on this machine or on an existing server: server, worker, healing, and what is applied."""

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_CLIENT_MAX_RETRIES,
    get_current_settings,
    temporary_settings,
)

from unbroken.config.project import VARIABLE, Project
from unbroken.deployment import declared, own_server
from unbroken.deployment.apply import apply as apply_to_server
from unbroken.deployment.healing import loop
from unbroken.deployment.own_server import Options
from unbroken.deployment.pause import end_pause, paused_by_stop
from unbroken.deployment.processes import MARK
from unbroken.deployment.server_settings import without_database
from unbroken.deployment.services import Service
from unbroken.deployment.stop import Stop
from unbroken.errors import ConfigError, ServerError
from unbroken.orchestration.server.reachability import (
    INSTEAD_OF_A_DEPLOYMENTS,
    bypass_proxies,
    require_server,
    use_own_secret,
    use_server,
    without_credentials,
)

PREFECT = [sys.executable, "-m", "prefect"]
PATIENCE: Any = {PREFECT_CLIENT_MAX_RETRIES: 1, PREFECT_API_REQUEST_TIMEOUT: 10.0}
"""How long `stop` asks a server that may be gone."""


def serve(project: Project, options: Options) -> None:
    """Start what is not running: the server, unless the profile names one, a worker, the healing; apply what is missing."""
    bypass_proxies()
    deployments = declared.read(project)
    if _settings_name_a_server(project, options):
        own_server.record(project, project.own_server)
    else:
        use_server(project, own_server.start(project, _service(project, "server"), options))
    apply_to_server(project, deployments, reset=False)
    with get_client(sync_client=True) as client:
        end_pause(client, paused_by_stop(project.state))
    environment = _worker_environment(project)
    worker = [*PREFECT, "worker", "start", "--pool", project.name, "--type", "process"]
    for name, command in (("worker", worker), ("healing", [sys.executable, "-m", "unbroken", "heal"])):
        service = _service(project, name)
        started = service.start(command, environment)
        print(f"{name:8} {'started' if started else 'runs already'}, log {service.log}")
    _say_how_to_use_it(project, deployments[0].full_name if deployments else None)


def apply(project: Project, *, reset: bool) -> None:
    """Create work pool and deployments that are missing on the server; change those that differ if told to."""
    deployments = declared.read(project)
    _use_a_server(project, "to apply to")
    apply_to_server(project, deployments, reset=reset)


def heal(project: Project) -> None:
    """Heal the runs of the server until stopped."""
    _use_a_server(project, "to heal")
    loop.heal(project.name, project.state)


def stop(project: Project) -> None:
    """End what `serve` started; runs in training save, and go on under their ids with the next `serve`."""
    bypass_proxies()
    reachable = _reaches_server(project)
    with temporary_settings(PATIENCE), get_client(sync_client=True) as client:
        Stop(project.folder, project.name, project.state).run(client, reachable=reachable)


def _reaches_server(project: Project) -> bool:
    """Use the server whose runs are to stop, and tell whether it answers."""
    if get_current_settings().api.url:
        use_own_secret(project)
        try:
            require_server(INSTEAD_OF_A_DEPLOYMENTS)
        except ServerError as error:
            print(f"server   {error}")
            return False
        return True
    server = project.own_server
    if server is None:
        return False
    use_server(project, server)
    return own_server.answers(project, server)


def _use_a_server(project: Project, purpose: str) -> None:
    """Use the server that the settings name, or that of the project; raise ConfigError if there is neither."""
    bypass_proxies()
    if _settings_name_a_server(project, Options()):
        return
    server = project.own_server
    if server is None or not _service(project, "server").is_running():
        raise ConfigError(
            f"{project.folder}: found no Prefect server {purpose}, expected PREFECT_API_URL to name one, or the one "
            f"that `unbroken serve` starts to run"
        )
    use_server(project, server)


def _service(project: Project, name: str) -> Service:
    return Service(name, project.state)


def _settings_name_a_server(project: Project, options: Options) -> bool:
    """Tell whether the settings name a server, which then can be used."""
    url = get_current_settings().api.url
    if not url:
        return False
    if options.are_set:
        raise ConfigError(
            f"PREFECT_API_URL: found {without_credentials(url)}, expected none beside --port, --no-auth, --database and "
            f"--keep-days, which are for a server that `unbroken serve` starts. Unset the one, or leave out the others"
        )
    use_own_secret(project)
    require_server(INSTEAD_OF_A_DEPLOYMENTS)
    return True


def _worker_environment(project: Project) -> dict[str, str]:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    kept = {name: value for name, value in os.environ.items() if name != "PREFECT_SERVER_API_AUTH_STRING"}
    return without_database(kept) | {VARIABLE: project.name, MARK: str(project.folder), "PATH": programs}


def _say_how_to_use_it(project: Project, deployment: str | None) -> None:
    settings = get_current_settings()
    api = without_credentials(settings.api.url or "")
    variables = f"PREFECT_API_URL={shlex.quote(api)}"
    print(f"open     {without_credentials(settings.ui_url or api).removesuffix('/api')}")
    if project.secret and os.environ.get("PREFECT_API_AUTH_STRING") == project.secret:
        secret = shlex.quote(str(project.secret_file))
        print(f"log in   with the whole text of {secret}")
        variables += f' PREFECT_API_AUTH_STRING="$(cat {secret})"'
    if deployment:
        run = f"{shlex.quote(sys.executable)} -m prefect deployment run {shlex.quote(deployment)} --watch"
        print(f"run      {variables} {run}")
