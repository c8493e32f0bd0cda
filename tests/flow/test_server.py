"""The server that a process at a terminal starts for itself."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.flow.conftest import ROOT
from tests.flow.test_terminal import wait_for_epoch


def test_no_server_outlives_a_process_that_was_killed(tmp_path: Path):
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    environment |= {"PREFECT_HOME": str(tmp_path / "prefect")}
    command = [sys.executable, "-m", "flows.train", "--runs_folder", str(tmp_path / "runs"), "--data.source", "sample"]
    endless = [*command, "--training.batch_size", "1", "--training.epochs", "100000"]
    with (
        open(tmp_path / "log", "wb") as log,
        subprocess.Popen(endless, cwd=ROOT, env=environment, stdout=log, stderr=log) as process,
    ):
        wait_for_epoch(1, tmp_path / "runs", process)
        process.send_signal(signal.SIGKILL)

    port = re.search(r"temporary server on http://127\.0\.0\.1:(\d+)", (tmp_path / "log").read_text())
    assert port is not None
    deadline = time.monotonic() + 30
    while is_open(int(port[1])):
        assert time.monotonic() < deadline, "the server is still there"
        time.sleep(0.2)


def is_open(port: int) -> bool:
    """Tell whether something listens at a port of this machine."""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
