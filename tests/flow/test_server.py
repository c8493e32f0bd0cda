"""The server that a process at a terminal starts for itself."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.flow.conftest import ROOT
from tests.flow.test_terminal import wait_for_epoch
from tests.server import free_port


@pytest.fixture
def alone(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a process that knows no server."""
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    return environment | {"PREFECT_HOME": str(tmp_path / "prefect"), "COLUMNS": "120"}


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    return [sys.executable, "-m", "flows.train", "--runs_folder", str(tmp_path / "runs"), "--data.source", "sample"]


@pytest.mark.slow
def test_what_a_process_told_its_own_server_is_there_for_the_next_server(
    alone: dict[str, str], command: list[str], tmp_path: Path
):
    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=True)

    assert done.stderr == ""
    with sqlite3.connect(tmp_path / "prefect" / "prefect.db") as database:
        assert database.execute("select state_type from flow_run").fetchall() == [("COMPLETED",)]
        assert database.execute("select state_type from task_run").fetchall() == [("COMPLETED",)] * 6
        assert database.execute("select count(*) from artifact where type = 'markdown'").fetchone() == (1,)
        logged = [message for (message,) in database.execute("select message from log")]
    assert [line for line in logged if "epoch 5 restored" in line]
    assert not (tmp_path / "prefect" / "memo_store.toml").exists(), "the next server would not register its blocks"


@pytest.mark.slow
def test_a_server_that_cannot_start_is_an_error_in_one_paragraph(
    alone: dict[str, str], command: list[str], tmp_path: Path
):
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "prefect.db").write_text("no database")

    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert "the Prefect server of this process did not start" in said
    assert "file is not a database" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_three_commands_at_once_in_a_new_home_all_end_well_whatever_the_proxies(alone: dict[str, str], tmp_path: Path):
    closed = f"127.0.0.1:{free_port()}"
    proxies = [
        {"HTTP_PROXY": f"http://{closed}", "HTTPS_PROXY": f"http://{closed}", "ALL_PROXY": f"http://{closed}"},
        {"http_proxy": f"http://{closed}", "no_proxy": "example.com"},
        {"ALL_PROXY": f"socks5://{closed}"},
    ]
    command = [sys.executable, "-m", "flows.train", "--data.source", "sample", "--training.epochs", "1"]
    processes = [
        subprocess.Popen(
            [*command, "--runs_folder", str(tmp_path / f"runs-{index}")],
            cwd=ROOT,
            env=alone | proxy,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index, proxy in enumerate(proxies)
    ]

    outputs = [process.communicate(timeout=240)[0] for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    with sqlite3.connect(tmp_path / "prefect" / "prefect.db") as database:
        assert database.execute("select state_type from flow_run").fetchall() == [("COMPLETED",)] * 3


@pytest.mark.slow
def test_a_server_that_is_not_there_is_one_paragraph_and_no_run(
    alone: dict[str, str], command: list[str], tmp_path: Path
):
    url = f"http://user:secret@127.0.0.1:{free_port()}/api"

    done = subprocess.run(
        command, cwd=ROOT, env=alone | {"PREFECT_API_URL": url}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {url.replace('user:secret@', '')}: no Prefect server can be used there: ")
    assert len(done.stderr.splitlines()) == 1
    assert "PREFECT_API_URL in the environment" in done.stderr
    assert "--no-orchestrator" in done.stderr
    assert "secret" not in done.stdout + done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "name", ["PREFECT_API_REQUEST_TIMEOUT", "PREFECT_LOGGING_LEVEL", "PREFECT_API_URL", "profiles"]
)
@pytest.mark.slow
def test_settings_that_prefect_does_not_take_are_one_paragraph(
    name: str, alone: dict[str, str], command: list[str], tmp_path: Path
):
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "profiles.toml").write_text("active = [" if name == "profiles" else "")
    value = "http://[secret" if name == "PREFECT_API_URL" else "secret"

    done = subprocess.run(command, cwd=ROOT, env=alone | {name: value}, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith("error: Prefect does not start with its settings: ")
    assert len(done.stderr.splitlines()) == 1
    assert "secret" not in done.stderr


@pytest.mark.slow
def test_no_server_outlives_a_process_that_was_killed(alone: dict[str, str], command: list[str], tmp_path: Path):
    endless = [*command, "--training.batch_size", "1", "--training.epochs", "100000"]
    with subprocess.Popen(endless, cwd=ROOT, env=alone, stdout=subprocess.DEVNULL) as process:
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
