"""The scorecard of faults, printed at the end of every session that tried any, and signals as at a terminal."""

import signal

import pytest

from tests.scorecard import Scorecard

SCORECARD = pytest.StashKey[Scorecard]()


def pytest_configure(config: pytest.Config) -> None:
    # A shell makes what it starts in the background deaf to SIGINT, and all children with it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[SCORECARD] = Scorecard()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if lines := config.stash[SCORECARD].lines():
        terminalreporter.section("faults")
        terminalreporter.write("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def scorecard(request: pytest.FixtureRequest) -> Scorecard:
    return request.config.stash[SCORECARD]
