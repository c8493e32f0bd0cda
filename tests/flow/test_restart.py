"""How often a run died, and when it is tried again."""

from datetime import UTC, datetime, timedelta

import pytest
from prefect.states import AwaitingRetry, Completed, Crashed, Pending, Running, State

from unbroken.orchestration.restart import GAVE_UP, LONGEST_WAIT, count_crashes, gave_up_state, retry_state

ATTEMPT = (Pending, Running)


def states(*makers: type | object) -> list[State]:
    """Return states a second apart, in reverse, since no order is promised."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    states = [make() for make in makers]  # ty: ignore[not-callable]
    return [
        state.model_copy(update={"timestamp": begin + timedelta(seconds=second)}) for second, state in enumerate(states)
    ][::-1]


def gave_up() -> State:
    return Crashed(name=GAVE_UP)


@pytest.mark.parametrize(
    ("history", "deaths"),
    [
        ((*ATTEMPT, Completed), 0),
        ((*ATTEMPT, Crashed), 1),
        ((*ATTEMPT, Crashed, AwaitingRetry, *ATTEMPT, Crashed), 2),
        ((Pending, Crashed, AwaitingRetry, Pending, Crashed), 2),
        ((*ATTEMPT, Crashed, Crashed, AwaitingRetry, Crashed), 1),
        ((*ATTEMPT, Crashed, AwaitingRetry, *ATTEMPT, Crashed, gave_up, AwaitingRetry, *ATTEMPT, Crashed), 1),
    ],
)
def test_an_attempt_counts_as_one_death_however_often_it_is_reported(history: tuple[object, ...], deaths: int):
    assert count_crashes(states(*history)) == deaths


def test_the_wait_doubles_with_each_death_up_to_the_longest():
    waits = [retry_state(deaths, 20).state_details.scheduled_time - datetime.now(UTC) for deaths in (1, 2, 3, 20)]  # ty: ignore[unsupported-operator]

    assert [round(wait.total_seconds()) for wait in waits] == [2, 4, 8, LONGEST_WAIT.total_seconds()]


def test_a_run_given_up_is_crashed_and_says_how_often_and_what_to_do():
    end = gave_up_state(3, 2, Crashed(message="Process exited with status code: -9."))

    assert end.is_crashed()
    assert end.message == (
        "crashed 3 times, which is more than the 2 restarts that UNBROKEN_RESTARTS allows. The last time: Process exited "
        "with status code: -9. Its checkpoints are kept: mend the cause, then retry the run to go on from them"
    )
