"""What every test needs that starts a server of its own."""

import socket
import subprocess
import time
import urllib.request
from pathlib import Path

PATIENCE = 180.0


def free_port() -> int:
    """Return a port of this machine on which nothing listens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def wait_until_served(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Return as soon as a URL answers; fail with the server's log if it ends, or never does."""
    deadline = time.monotonic() + PATIENCE
    while True:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
