"""One Prefect server for all flow tests."""

import os
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness

from tests.flow.served import Served
from tests.shapes import unchecked

ROOT = Path(__file__).parents[2]

Terminal = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module", autouse=True)
def full_speed() -> Generator[None]:
    """Train without checks of shapes: the unit tests have them."""
    with unchecked():
        yield


@pytest.fixture(scope="session")
def prefect_server() -> Generator[str]:
    """Start a server with an empty database and return the URL of its API."""
    with prefect_test_harness(server_startup_timeout=120):
        yield str(PREFECT_API_URL.value())


@pytest.fixture
def environment(prefect_server: str, tmp_path: Path) -> dict[str, str]:
    """Return the environment of a process that uses the server and a profile of its own."""
    return os.environ | {"PREFECT_API_URL": prefect_server, "PREFECT_HOME": str(tmp_path / "prefect"), "COLUMNS": "120"}


@pytest.fixture
def terminal(environment: dict[str, str], tmp_path: Path) -> Terminal:
    """Return what runs `python -m flows.train` with arguments, its runs folder in the test's own folder."""

    def run(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flows.train", "--runs_folder", str(tmp_path / "runs"), *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
        )

    return run


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    """Serve a copy of the project, and end all of it afterwards."""
    served = Served.copy_of(ROOT, tmp_path_factory.mktemp("served"))
    try:
        served.deploy("serve")
        yield served
    finally:
        served.close()
