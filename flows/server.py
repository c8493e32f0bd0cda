"""Prefect for one process at a terminal: a server that ends with it however it ends, and no log but the library's."""

import logging
import subprocess
from functools import cache

from prefect.logging.handlers import PrefectConsoleHandler
from prefect.settings import PREFECT_API_URL

SILENT = logging.CRITICAL + 1
UNTIL_THE_PIPE_CLOSES = 'read -r _; kill "$0" 2>/dev/null'


@cache
def start_server() -> subprocess.Popen[bytes] | None:
    """Start a server unless the active profile has one, and return what watches over it, which must stay referenced.

    Prefect would start it too, but stop it only at an orderly end: after a SIGKILL it would stay for good. So a shell
    waits at a pipe that the kernel closes when this process ends, whatever ends it.
    """
    _keep_the_log_for_the_ui()
    if PREFECT_API_URL.value():
        return None
    from prefect.server.api.server import SubprocessASGIServer  # noqa: PLC0415 (a third of all imports)

    own = SubprocessASGIServer()
    own.start()
    assert own.server_process is not None
    watch = ["/bin/sh", "-c", UNTIL_THE_PIPE_CLOSES, str(own.server_process.pid)]
    return subprocess.Popen(watch, stdin=subprocess.PIPE, start_new_session=True)


def _keep_the_log_for_the_ui() -> None:
    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            handler.setLevel(SILENT)
