"""What a Prefect server with a SQLite file loses under 200 flow runs, eight at a time: `python -m benchmarks.server_load`.

Once with Prefect's own server, once with that of `unbroken serve`. A lock error shows in the server's log, a loss in its
database: each run has three events of its own, three task runs, an artifact and its lines of log.
"""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from unbroken.deployment.own_server import COMMAND

SERVERS = {"Prefect's": [sys.executable, "-m", "prefect", "server", "start"], "our": COMMAND}
RUNS, AT_ONCE, TASKS, LINES = 200, 8, 3, 5
PATIENCE = 300
FAULTS = {"lock errors": r"database is locked", "drops": r"(?i)dropping"}
EXPECTED = {
    "runs completed": (RUNS, "select count(*) from flow_run where state_type = 'COMPLETED'"),
    "task runs completed": (RUNS * TASKS, "select count(*) from task_run where state_type = 'COMPLETED'"),
    "events of runs": (
        RUNS * 3,
        "select count(*) from events where event in "
        "('prefect.flow-run.Pending', 'prefect.flow-run.Running', 'prefect.flow-run.Completed')",
    ),
    "events of task runs": (RUNS * TASKS, "select count(*) from events where event = 'prefect.task-run.Completed'"),
    "events without resource": (
        0,
        "select count(*) from events where id not in (select event_id from event_resources)",
    ),
    "artifacts": (RUNS, "select count(*) from artifact where type = 'markdown'"),
    "lines of log": (RUNS * LINES, "select count(*) from log where message like 'line %'"),
}


def work(runs: int) -> None:
    """Run short flows one after another, as one of the clients."""
    from prefect import flow, get_run_logger, task  # noqa: PLC0415 (the server's part needs none of it)
    from prefect.artifacts import create_markdown_artifact  # noqa: PLC0415

    @task
    def stage(number: int) -> int:
        return number

    @flow
    def short() -> None:
        for number in range(TASKS):
            stage(number)
        for number in range(LINES):
            get_run_logger().info("line %d", number)
        create_markdown_artifact("# report")

    for _ in range(runs):
        short()


def measure(command: Sequence[str], folder: Path, port: int) -> dict[str, int]:
    """Return what the log and the database of a server show after all runs."""
    api = f"http://127.0.0.1:{port}/api"
    common = {
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    }
    environment = {**os.environ, **common, "PREFECT_SERVER_LOG_RETRYABLE_ERRORS": "true"}
    log = folder / "server.log"
    with open(log, "wb") as file:
        server = subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)
    try:
        _wait_until_ready(api, server)
        client = [sys.executable, "-m", "benchmarks.server_load", str(RUNS // AT_ONCE)]
        clients = [
            subprocess.Popen(client, env={**os.environ, **common, "PREFECT_API_URL": api}) for _ in range(AT_ONCE)
        ]
        failed = sum(process.wait() != 0 for process in clients)
        counts = _settled(folder / "prefect.db")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    text = log.read_text()
    return {"clients failed": failed} | {name: len(re.findall(fault, text)) for name, fault in FAULTS.items()} | counts


def _settled(database: Path) -> dict[str, int]:
    """Return what is in the database once nothing comes any more."""
    deadline = time.monotonic() + PATIENCE
    before: dict[str, int] = {}
    while True:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            counts = {name: connection.execute(query).fetchone()[0] for name, (_, query) in EXPECTED.items()}
        if counts == before or time.monotonic() > deadline:
            return counts
        before = counts
        time.sleep(15)


def _wait_until_ready(api: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not _answers(api):
        assert server.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server does not answer"
        time.sleep(0.5)


def _answers(api: str) -> bool:
    try:
        return httpx.get(f"{api}/health", timeout=5).is_success
    except httpx.HTTPError:
        return False


def main() -> None:
    """Print what each server lost."""
    with tempfile.TemporaryDirectory() as folder:
        for port, (name, command) in enumerate(SERVERS.items(), 4710):
            home = Path(folder, str(port))
            home.mkdir()
            start = time.monotonic()
            counts = measure(command, home, port)
            print(f"{name} server, {time.monotonic() - start:.0f} s")
            for label, count in counts.items():
                expected = EXPECTED[label][0] if label in EXPECTED else 0
                print(f"  {label:24} {count:6}  expected {expected}{'' if count == expected else '  LOST'}")


if __name__ == "__main__":
    work(int(sys.argv[1])) if len(sys.argv) > 1 else main()
