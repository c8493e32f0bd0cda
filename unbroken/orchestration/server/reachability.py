"""Does the Prefect server that the settings name answer? Where it does not, one paragraph says why, and what to do."""

import importlib.util
import logging
import os
import re
from collections.abc import Callable
from typing import Any
from urllib.request import getproxies_environment, proxy_bypass

import httpx
from prefect.client.orchestration import get_client
from prefect.context import get_settings_context, refresh_global_settings_context
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_PROFILES_PATH,
    temporary_settings,
)

from unbroken.config.project import OwnServer, Project
from unbroken.errors import ServerError

log = logging.getLogger("unbroken.orchestration")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ATTEMPT_SECONDS = 10.0
RETRIES = 1

INSTEAD_OF_A_FLOWS = "to have a server of this process alone, or leave Prefect out with --no-orchestrator"
INSTEAD_OF_A_DEPLOYMENTS = "to let `unbroken serve` start one"
"""What unsetting the URL is for, in words that follow "unset it"."""


def bypass_proxies() -> None:
    """Let this process and its children reach servers of this machine without the proxies of the environment."""
    proxies = getproxies_environment()
    hosts = [host.strip() for host in proxies.pop("no", "").split(",") if host.strip()]
    if proxies and "*" not in hosts:
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(dict.fromkeys([*hosts, *LOOPBACK]))
    for kind, url in proxies.items():
        if url.startswith("socks") and importlib.util.find_spec("socksio") is None:
            # Prefect's client would not even start, whatever no_proxy says.
            log.warning("%s_PROXY: left out, a SOCKS proxy needs the package socksio", kind.upper())
            for name in (f"{kind}_proxy", f"{kind.upper()}_PROXY"):
                os.environ.pop(name, None)


def require_server(instead: str) -> None:
    """Raise ServerError unless a Prefect server that this version can use answers at PREFECT_API_URL.

    Args:
        instead: What unsetting the URL is for, in words that follow "unset it".
    """
    limits: Any = {PREFECT_CLIENT_MAX_RETRIES: RETRIES, PREFECT_API_REQUEST_TIMEOUT: ATTEMPT_SECONDS}
    try:
        with temporary_settings(limits), get_client(sync_client=True) as client:
            client.raise_for_api_version_mismatch_once()  # the flows' clients then need not ask again
    except Exception as error:
        url = PREFECT_API_URL.value() or ""
        origin, unset = _origin()
        raise ServerError(
            f"{without_credentials(url)}: no Prefect server can be used there: {_reason(error)}{_proxy(url)}. "
            f"The URL is set by {origin}. Start the server there, name another in PREFECT_API_URL, or {unset} {instead}"
        ) from error


def use_own_secret(project: Project) -> None:
    """Let this process and its children log in where PREFECT_API_URL names the server that `unbroken serve` started here.

    A PREFECT_API_AUTH_STRING that is set comes first.
    """
    server, url = project.own_server, PREFECT_API_URL.value()
    if server and server.auth and url and not PREFECT_API_AUTH_STRING.value() and _address(url) == _address(server.api):
        use_server(project, server)


def use_server(project: Project, server: OwnServer) -> None:
    """Let this process and its children use the server that `unbroken serve` started for a project."""
    os.environ["PREFECT_API_URL"] = server.api
    os.environ.pop("PREFECT_API_AUTH_STRING", None)
    if server.auth:
        os.environ["PREFECT_API_AUTH_STRING"] = project.secret
    refresh_global_settings_context()


def _address(url: str) -> tuple[str, int | None]:
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return url, None
    return LOOPBACK[0] if parts.host in LOOPBACK else parts.host, parts.port


def explain_loss(flow: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let a flow raise ServerError where its server is lost on the way; what its stages did is saved."""

    def run(config: Any) -> Any:
        url = PREFECT_API_URL.value() or ""
        try:
            return flow(config)
        except httpx.TransportError as error:
            if not str(error.request.url).startswith(url):
                raise
            raise ServerError(
                f"{without_credentials(url)}: the Prefect server was lost on the way: {_reason(error)}. What the stages did is "
                f"saved: the same command goes on from there, with --no-orchestrator also without a server"
            ) from error

    return run


def without_credentials(url: str) -> str:
    """Return a URL without user, password, query and fragment."""
    return re.split(r"[?#]", re.sub(r"//.*@", "//", url))[0]


def _reason(error: BaseException) -> str:
    cause = error if isinstance(error, httpx.HTTPError) else error.__cause__ or error
    if "incompatible versions" in str(error):
        return str(error).rstrip(".")
    if isinstance(cause, httpx.HTTPStatusError):
        return _status(cause.response)
    if isinstance(cause, httpx.TimeoutException):
        return f"it did not answer within {ATTEMPT_SECONDS:g} s"
    if isinstance(cause, httpx.HTTPError):
        return str(cause).rstrip(".") or type(cause).__name__
    if isinstance(cause, httpx.InvalidURL):
        return "this is no URL"
    if isinstance(cause, (ValueError, TypeError)):
        return "what answers is no Prefect API, whose URL ends in /api"
    return type(cause).__name__


def _status(response: httpx.Response) -> str:
    status = f"it answers {response.status_code} {response.reason_phrase}"
    if response.status_code in {401, 403}:
        return f"{status}, credentials are missing or wrong: set PREFECT_API_AUTH_STRING, or PREFECT_API_KEY for Prefect Cloud"
    if response.status_code in {404, 405}:
        return f"{status}, so it is no Prefect API, whose URL ends in /api"
    return status


def _proxy(url: str) -> str:
    """Return which proxy a URL is asked through, as words that follow a reason."""
    try:
        target = httpx.URL(url)
    except httpx.InvalidURL:
        return ""
    proxies = getproxies_environment()
    kind = next((kind for kind in (target.scheme, "all") if kind in proxies), None)
    if kind is None or proxy_bypass(target.host):
        return ""
    return (
        f", through the proxy {without_credentials(proxies[kind])} of {kind.upper()}_PROXY; if it can be reached without, "
        f"add {target.host} to NO_PROXY"
    )


def _origin() -> tuple[str, str]:
    """Return where PREFECT_API_URL is set, and how it is unset."""
    if "PREFECT_API_URL" in os.environ:
        return "PREFECT_API_URL in the environment", "unset it"
    profile = get_settings_context().profile
    if PREFECT_API_URL in profile.settings:
        unset = "unset it (prefect config unset PREFECT_API_URL)"
        return f"the Prefect profile {profile.name!r} in {PREFECT_PROFILES_PATH.value()}", unset
    return "prefect.toml, pyproject.toml or .env in this folder", "remove it there"
