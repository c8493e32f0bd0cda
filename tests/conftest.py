"""The scorecard of faults, printed at the end of every session that tried any."""

import pytest

from tests.scorecard import Scorecard

SCORECARD = pytest.StashKey[Scorecard]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SCORECARD] = Scorecard()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if lines := config.stash[SCORECARD].lines():
        terminalreporter.section("faults")
        terminalreporter.write("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def scorecard(request: pytest.FixtureRequest) -> Scorecard:
    return request.config.stash[SCORECARD]
