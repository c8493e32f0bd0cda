"""The undisturbed run that all others must equal, and a Prefect server for the real command."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.crash import forks, pipeline
from tests.crash.command import Command
from tests.crash.pipeline import Undisturbed

SERVER_SECONDS = 180


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out a sample where all of it runs anyway, so that nothing is counted twice."""
    names = {item.nodeid for item in items}
    covered = [item for item in items if item.nodeid.endswith("sample]") and item.nodeid[:-7] + "all]" in names]
    items[:] = [item for item in items if item not in covered]
    config.hook.pytest_deselected(items=covered)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "source.parquet"
    pipeline.write_source(path)
    return path


@pytest.fixture
def new_folder(tmp_path: Path, source: Path) -> Callable[[], Path]:
    """Return a function that makes a folder with the data and no run."""
    made = 0

    def make() -> Path:
        nonlocal made
        made += 1
        folder = tmp_path / f"{made:04d}"
        folder.mkdir()
        (folder / source.name).hardlink_to(source)
        return folder

    return make


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Undisturbed:
    """The run that nothing happened to: its bytes, and every file operation on the way to them."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / source.name).hardlink_to(source)
    return forks.value(pipeline.undisturbed, folder)


@pytest.fixture(scope="session")
def command_environment(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, str]]:
    """The environment of real commands: a Prefect home of their own and one server for all of them."""
    home = tmp_path_factory.mktemp("prefect")
    port = _free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/health", server)
        yield environment | {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory, command_environment: dict[str, str]) -> Command:
    """The real command after an undisturbed end."""
    command = Command(tmp_path_factory.mktemp("expected"), command_environment)
    command.finish()
    return command


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SERVER_SECONDS
    while True:
        assert server.poll() is None, f"the Prefect server ended with {server.returncode}"
        assert time.monotonic() < deadline, f"the Prefect server did not answer within {SERVER_SECONDS} s"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
