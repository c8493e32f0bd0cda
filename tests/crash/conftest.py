"""The undisturbed run that all others must equal, and a Prefect server for the real command."""

import os
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.crash import forks, pipeline
from tests.crash.command import Command
from tests.crash.pipeline import Undisturbed
from tests.server import free_port, wait_until_served
from tests.shapes import unchecked


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out a sample where all of it runs anyway, so that nothing is counted twice."""
    names = {(item.path, item.name) for item in items}
    samples = [item for item in items if item.name.endswith("sample]")]
    covered = [item for item in samples if (item.path, item.name.removesuffix("sample]") + "all]") in names]
    items[:] = [item for item in items if item not in covered]
    config.hook.pytest_deselected(items=covered)


@pytest.fixture(scope="module", autouse=True)
def full_speed() -> Generator[None]:
    """Train without checks of shapes: the unit tests have them."""
    with unchecked():
        yield


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "source.parquet"
    pipeline.write_source(path)
    return path


@pytest.fixture
def new_folder(tmp_path: Path, source: Path) -> Callable[[], Path]:
    """Return a function that makes a folder with the data and no run."""
    number = 0

    def make() -> Path:
        nonlocal number
        number += 1
        folder = tmp_path / f"{number:04d}"
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
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_until_served(f"http://127.0.0.1:{port}/api/health", server, home / "server.log")
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
