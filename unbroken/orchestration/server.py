"""Prefect for one process at a terminal: a server that ends with it however it ends, and no log but the library's."""

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

SILENT = logging.CRITICAL + 1
LEAVING_SECONDS = 5.0
LAST_LINES = 3

LEAN = {
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",  # else the next server believes that they are registered
}
"""Without what nobody asks of a server that serves one run."""


@dataclass(frozen=True)
class OwnServer:
    """A server of this process alone."""

    process: subprocess.Popen[bytes]
    api: str
    log: IO[bytes]

    def wait_until_it_answers(self) -> None:
        """Return once it can be used; raise ServerError if it cannot."""
        seconds = PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
        try:
            httpx.get(f"{self.api}/health", timeout=seconds, trust_env=False).raise_for_status()
        except httpx.HTTPError as error:
            raise ServerError(
                f"{self.api}: the Prefect server of this process did not start (within {seconds} s): {self._last_words()}. "
                f"Set PREFECT_API_URL to a server that runs, PREFECT_HOME to another folder, or "
                f"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS to more"
            ) from error

    def _last_words(self) -> str:
        self.leave()
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").splitlines()
        said = [line for line in lines if line.strip() and not line.startswith(" ")]
        return " / ".join(said[-LAST_LINES:]).rstrip(".") or f"exit code {self.process.returncode}"

    def leave(self) -> None:
        """End it in good order."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(LEAVING_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def server_beside_imports() -> Generator[None]:
    """Start a server unless the active profile has one; it starts beside what the block imports, and then answers.

    Prefect would start one too, but import all of it here, wait for it, and stop it only at an orderly end.
    """
    own = None if PREFECT_API_URL.value() else _start_server()
    yield
    _keep_the_log_for_the_ui()
    if own:
        own.wait_until_it_answers()


def _start_server() -> OwnServer:
    log = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the server)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [sys.executable, "-m", "unbroken.orchestration.own_server", str(listening.fileno())]
        variables = os.environ | get_current_settings().to_environment_variables(exclude_unset=True) | LEAN
        process = subprocess.Popen(
            command,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[listening.fileno()],
            start_new_session=True,  # Ctrl-C is for the training, which still has to tell the server
        )
        own = OwnServer(process, f"http://127.0.0.1:{listening.getsockname()[1]}/api", log)
    atexit.register(own.leave)
    os.environ["PREFECT_API_URL"] = own.api
    refresh_global_settings_context()
    return own


def _keep_the_log_for_the_ui() -> None:
    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            handler.setLevel(SILENT)
