"""The server that a process at a terminal starts for itself."""

import os
import signal
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
    with subprocess.Popen(endless, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as process:
        wait_for_epoch(1, tmp_path / "runs", process)
        children = [Path("/proc", child) for child in children_of(process.pid)]
        process.send_signal(signal.SIGKILL)

    assert children
    deadline = time.monotonic() + 30
    while any(child.exists() for child in children):
        assert time.monotonic() < deadline, "the server is still there"
        time.sleep(0.2)


def children_of(process: int) -> list[str]:
    """Return the numbers of the processes that a process started, whichever of its threads did."""
    return [
        child
        for thread in Path(f"/proc/{process}/task").iterdir()
        for child in (thread / "children").read_text().split()
    ]
