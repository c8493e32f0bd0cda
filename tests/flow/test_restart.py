"""How often a run crashed or was taken away, and when it is tried again."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest
from prefect._internal.infrastructure_exit_codes import get_infrastructure_exit_info
from prefect.exceptions import TerminationSignal
from prefect.states import (
    AwaitingRetry,
    Completed,
    Crashed,
    Pending,
    Running,
    State,
    exception_to_crashed_state,
)

from unbroken.orchestration.restart import GAVE_UP, LONGEST_WAIT, LOST, Budget, Cause, causes_of, next_state

ATTEMPT = (Pending, Running)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CRASH, PREEMPTION = Cause.CRASH, Cause.PREEMPTION


def states(*makers: type | object) -> list[State]:
    """Return states a second apart, in reverse, since no order is promised."""
    made = [make() for make in makers]  # ty: ignore[not-callable]
    return [
        state.model_copy(update={"timestamp": NOW + timedelta(seconds=second)}) for second, state in enumerate(made)
    ][::-1]


def gave_up() -> State:
    return Crashed(name=GAVE_UP)


def lost() -> State:
    return Crashed(name=LOST)


def killed() -> State:
    return Crashed(message="Process exited with status code: -9. Process exited due to a SIGKILL signal.")


def terminated() -> State:
    return Crashed(message="Execution was aborted by a termination signal.")


@pytest.mark.parametrize(
    ("history", "causes"),
    [
        ((*ATTEMPT, Completed), []),
        ((*ATTEMPT, Crashed), [CRASH]),
        ((*ATTEMPT, Crashed, AwaitingRetry, *ATTEMPT, Crashed), [CRASH, CRASH]),
        ((Pending, Crashed, AwaitingRetry, Pending, Crashed), [CRASH, CRASH]),
        ((*ATTEMPT, Crashed, Crashed, AwaitingRetry, Crashed), [CRASH]),
        ((*ATTEMPT, Crashed, AwaitingRetry, *ATTEMPT, Crashed, gave_up, AwaitingRetry, *ATTEMPT, Crashed), [CRASH]),
        ((*ATTEMPT, lost, AwaitingRetry, *ATTEMPT, killed), [PREEMPTION, CRASH]),
        ((Pending, lost), [PREEMPTION]),
        ((*ATTEMPT, Crashed, gave_up, terminated), [CRASH]),
        ((*ATTEMPT, terminated, killed, AwaitingRetry, *ATTEMPT, killed, terminated), [PREEMPTION, PREEMPTION]),
        ((*ATTEMPT, AwaitingRetry, *ATTEMPT, AwaitingRetry, *ATTEMPT), []),
    ],
)
def test_an_attempt_ends_once_however_often_it_is_reported_and_any_report_says_that_it_was_taken_away(
    history: tuple[object, ...], causes: list[Cause]
):
    assert causes_of(states(*history)) == causes


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("Process exited with status code: -9. ", CRASH),
        ("Process exited with status code: 1. ", CRASH),
        ("Process exited with status code: -11. ", CRASH),
        ("Process exited with status code: -15. ", PREEMPTION),
        ("Flow run infrastructure exited with non-zero status code -9. ", PREEMPTION),
        ("Flow run infrastructure exited with non-zero status code 143. ", PREEMPTION),
        ("Flow run infrastructure exited with non-zero status code 127. ", CRASH),
        ("Execution was interrupted by an unexpected exception: MemoryError", CRASH),
    ],
)
def test_the_words_of_a_report_say_whether_a_run_was_taken_away(message: str, cause: Cause):
    assert causes_of([Crashed(message=message)]) == [cause]


def test_prefect_still_says_it_in_these_words():
    state = anyio.run(exception_to_crashed_state, TerminationSignal(15))

    assert causes_of([state]) == [PREEMPTION]
    assert "SIGKILL" in get_infrastructure_exit_info(-9).explanation


def test_the_wait_doubles_with_each_crash_up_to_the_longest_and_not_with_what_was_taken_away():
    def wait(*causes: Cause) -> float:
        time = next_state(causes, Budget(20), Crashed(), NOW).state_details.scheduled_time
        assert time is not None
        return time.timestamp() - NOW.timestamp()

    assert [wait(*[CRASH] * crashes) for crashes in (1, 2, 3, 20)] == [2, 4, 8, LONGEST_WAIT.total_seconds()]
    assert wait(*[PREEMPTION] * 20) == 2


def test_preemptions_use_up_no_restarts_of_crashes_and_have_a_bound_of_their_own():
    budget = Budget(restarts=1, preemptions=3)

    assert next_state([PREEMPTION] * 3, budget, Crashed(), NOW).name == "AwaitingRetry"
    assert next_state([*[PREEMPTION] * 3, CRASH], budget, Crashed(), NOW).name == "AwaitingRetry"
    assert next_state([CRASH, PREEMPTION, CRASH], budget, Crashed(), NOW).name == GAVE_UP
    end = next_state([PREEMPTION] * 4, budget, lost(), NOW)
    assert (end.name, end.is_crashed()) == (GAVE_UP, True)
    assert "was taken away 4 times, which is more than the 3 restarts that UNBROKEN_PREEMPTIONS allows" in str(
        end.message
    )


def test_a_run_given_up_is_crashed_and_says_how_often_and_what_to_do():
    end = next_state([CRASH] * 3, Budget(2), Crashed(message="Process exited with status code: -9."), NOW)

    assert end.is_crashed()
    assert end.message == (
        "crashed 3 times, which is more than the 2 restarts that UNBROKEN_RESTARTS allows. The last time: Process exited "
        "with status code: -9. Its checkpoints are kept: mend the cause, then retry the run to go on from them"
    )


def test_the_budget_is_what_the_job_variables_set():
    assert Budget.of({}) == Budget(10, 100)
    assert Budget.of({"UNBROKEN_RESTARTS": "1", "UNBROKEN_PREEMPTIONS": "2"}) == Budget(1, 2)
