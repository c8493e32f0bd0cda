"""The scorecard of faults, printed at the end of every session that tried any; signals as at a terminal; two workers."""

import os
import signal
from itertools import groupby
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.scorecard import Scorecard
from tests.shapes import check_rooms

check_rooms()

SCORECARD = pytest.StashKey[Scorecard]()
PREFECT_HOME = pytest.StashKey[TemporaryDirectory[str]]()

SERVERS = ("served", "prefect_server", "command_environment")
"""Fixtures that start a server once a session, the slowest first."""


def pytest_configure(config: pytest.Config) -> None:
    # A shell makes what it starts in the background deaf to SIGINT, and all children with it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[SCORECARD] = Scorecard()
    home = config.stash[PREFECT_HOME] = TemporaryDirectory(prefix="prefect-", ignore_cleanup_errors=True)
    os.environ["UNBROKEN_REPORT"] = "off"  # its tests write it
    os.environ["PREFECT_HOME"] = home.name  # each worker has a Prefect of its own, and none has that of a person


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[PREFECT_HOME].cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker is left alone with it at the end."""

    def server(item: pytest.Item) -> int:
        names = getattr(item, "fixturenames", ())
        return next((index for index, name in enumerate(SERVERS) if name in names), len(SERVERS))

    longest = {path: min(map(server, group)) for path, group in groupby(items, lambda item: item.path)}
    items.sort(key=lambda item: longest[item.path])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Start the slowest server in one worker alone."""
    from tests.workers import OneServer  # noqa: PLC0415 (without workers, pytest-xdist is not needed)

    return OneServer(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send the scorecard of a worker to the session that prints it."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["scorecard"] = session.config.stash[SCORECARD].counts()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Add the scorecard of a worker that has ended; one that died has none, and fails the session."""
    node.config.stash[SCORECARD].add(getattr(node, "workeroutput", {}).get("scorecard", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if lines := config.stash[SCORECARD].lines():
        terminalreporter.section("faults")
        terminalreporter.write("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def scorecard(request: pytest.FixtureRequest) -> Scorecard:
    return request.config.stash[SCORECARD]
