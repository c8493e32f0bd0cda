"""One rank as a process on this machine: started with its job, listened to, and killed where it is not needed any more."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from unbroken.engines.messages import CLOSED, Job
from unbroken.storage.artifact import to_json

Messages = queue.Queue[dict[str, Any]]
"""What ranks tell, in the order in which it came."""
LOOK = 0.1
"""Seconds between two looks at the parent."""
LOOPBACK = "lo" if sys.platform == "linux" else "lo0"


def start_rank(
    job: Job, place: Mapping[str, str], messages: Messages, folder: str | None = None
) -> subprocess.Popen[bytes]:
    """Start a rank, which ends once its standard input is closed.

    Args:
        job: What it trains.
        place: The variables that say which rank it is: see `parallel.place`.
        messages: Where what it tells is put.
        folder: Where it looks for files that are named without one; that of this process if not given.
    """
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "unbroken.engines.rank", str(writer)],
        stdin=subprocess.PIPE,
        pass_fds=(writer,),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in job.paths if path), **place},
        start_new_session=True,  # Ctrl-C at a terminal comes to the starter alone, which hands it on
    )
    os.close(writer)
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(to_json(job) + b"\n")
        process.stdin.flush()
    name = f"rank {place['RANK']}"
    threading.Thread(target=_listen, args=(reader, messages), name=name, daemon=True).start()
    return process


def end_rank(process: subprocess.Popen[bytes]) -> None:
    """Kill a rank that still runs."""
    if process.poll() is None:
        process.kill()
    process.wait()
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()


def end_with_parent(process: subprocess.Popen[bytes]) -> None:
    """Kill a rank as soon as the parent of this process is gone, while this one may live on."""
    parent = os.getppid()

    def watch() -> None:
        while process.poll() is None:
            if os.getppid() != parent:
                process.kill()
            time.sleep(LOOK)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def loopback_of(host: str) -> dict[str, str]:
    """Return the variable by which gloo stays on this machine, if the ranks meet there: its name may not resolve."""
    return {"GLOO_SOCKET_IFNAME": LOOPBACK} if ip_address(host).is_loopback else {}


def ending(code: int) -> str:
    """Say how a process ended."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _listen(reader: int, messages: Messages) -> None:
    with os.fdopen(reader, "rb") as lines:
        for line in lines:
            messages.put(json.loads(line))
    messages.put({"kind": CLOSED})
