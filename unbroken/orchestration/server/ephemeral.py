"""The Prefect server of one process at a terminal, started by that process; it ends with it however it ends."""

import atexit
import logging
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import httpx
from prefect.context import refresh_global_settings_context
from prefect.logging.handlers import PrefectConsoleHandler
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS, get_current_settings

from unbroken.errors import ServerError
from unbroken.orchestration.server.reachability import INSTEAD_OF_A_FLOWS, bypass_proxies, require_server

SILENT = logging.CRITICAL + 1
STOP_SECONDS = 5.0
LOG_LINES = 3

LEAN = {
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",  # else the next server believes that they are registered
}
"""Settings that leave out what a server of one run does not need."""


@dataclass(frozen=True)
class LocalServer:
    """A server of this process alone."""

    process: subprocess.Popen[bytes]
    api: str
    log: IO[bytes]

    def wait_until_ready(self) -> None:
        """Return once the server answers; raise ServerError if it does not."""
        seconds = PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
        try:
            httpx.get(f"{self.api}/health", timeout=seconds, trust_env=False).raise_for_status()
        except httpx.HTTPError as error:
            raise ServerError(
                f"{self.api}: the Prefect server of this process did not start (within {seconds} s): {self._end_of_log()}. "
                f"Set PREFECT_API_URL to a server that runs, PREFECT_HOME to another folder, or "
                f"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS to more"
            ) from error

    def _end_of_log(self) -> str:
        self.stop()
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").splitlines()
        messages = [line for line in lines if line.strip() and not line.startswith(" ") and "Traceback (" not in line]
        return " / ".join(messages[-LOG_LINES:]).rstrip(".") or f"exit code {self.process.returncode}"

    def stop(self) -> None:
        """End the server: by closing its input, after STOP_SECONDS by SIGKILL."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def server_beside_imports() -> Generator[None]:
    """Start a server unless the active profile has one; it starts beside what the block imports, and then answers.

    Prefect would start one too, but import all of it here, wait for it, and stop it only at an orderly end.
    """
    bypass_proxies()
    local = None if PREFECT_API_URL.value() else _start_server()
    yield
    _silence_console_log()
    if local:
        local.wait_until_ready()
    else:
        require_server(INSTEAD_OF_A_FLOWS)


def _start_server() -> LocalServer:
    log = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the server)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-m", "unbroken.orchestration.server.process", str(listener.fileno())]
        variables = os.environ | get_current_settings().to_environment_variables(exclude_unset=True) | LEAN
        process = subprocess.Popen(
            command,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[listener.fileno()],
            start_new_session=True,  # Ctrl-C is for the training, which still has to tell the server
        )
        local = LocalServer(process, f"http://127.0.0.1:{listener.getsockname()[1]}/api", log)
    atexit.register(local.stop)
    os.environ["PREFECT_API_URL"] = local.api
    refresh_global_settings_context()
    return local


def _silence_console_log() -> None:
    """Show Prefect's own log in the UI alone; the terminal has the library's."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            handler.setLevel(SILENT)
