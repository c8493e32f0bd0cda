"""What happens to a run, given its state and how long nothing was heard of it."""

from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.states import AwaitingRetry, Cancelled, Cancelling, Completed, Crashed, Paused, Pending, Running, State

from unbroken.deployment.healing.rules import Act, Times, Watch, act_for, is_orphan, mark_of
from unbroken.errors import ConfigError
from unbroken.orchestration.heartbeat import LABEL
from unbroken.orchestration.restart import GAVE_UP, LOST, TAG

TIMES = Times(heartbeat=10, silence=60, submission=300)
ONE, OTHER = uuid4(), uuid4()


def flow_run(state: State, *, deployed: bool = True, beats: bool = False, run_count: int = 1) -> FlowRun:
    return FlowRun(
        flow_id=uuid4(),
        state=state,
        state_id=state.id,
        deployment_id=uuid4() if deployed else None,
        tags=[TAG] if deployed else [],
        labels={LABEL: 3} if beats else {},
        run_count=run_count,
    )


@pytest.mark.parametrize(
    ("state", "silence", "act"),
    [
        (Running(), 59, None),
        (Running(), 60, Act.LOSE),
        (Pending(), 299, None),
        (Pending(name="Submitting"), 300, Act.LOSE),
        (Cancelling(), 59, None),
        (Cancelling(), 60, Act.CANCEL),
        (Crashed(), 29, None),
        (Crashed(), 30, Act.RESTART),
        (Crashed(name=LOST), 0, Act.RESTART),
        (Crashed(name=GAVE_UP), 10**9, None),
        *((state, 10**9, None) for state in (AwaitingRetry(), Completed(), Cancelled(), Paused())),
    ],
)
def test_a_deployed_run_gets_what_its_state_and_its_silence_ask_for(state: State, silence: float, act: Act | None):
    assert act_for(flow_run(state), silence, TIMES) == act


def test_a_run_of_a_terminal_is_ended_but_not_started_again():
    assert act_for(flow_run(Running(), deployed=False, beats=True), 60, TIMES) is Act.LOSE
    assert act_for(flow_run(Crashed(), deployed=False, beats=True), 10**9, TIMES) is None


@pytest.mark.parametrize("state", [Running(), Pending(), Cancelling(), Crashed()])
def test_a_run_of_another_flow_is_left_alone(state: State):
    assert act_for(flow_run(state, deployed=False), 10**9, TIMES) is None


def test_only_time_counts_as_silence_in_which_the_server_answered():
    watch = Watch()
    for elapsed in (0.0, 5.0, 9.0):
        watch = watch.look({ONE: 1, OTHER: 1}, elapsed, TIMES)
    assert watch.silence(ONE) == 14

    beaten = watch.look({ONE: 2, OTHER: 1}, 5, TIMES)
    assert (beaten.silence(ONE), beaten.silence(OTHER)) == (0, 19)
    assert watch.look({ONE: 1, OTHER: 1}, 30, TIMES).silence(ONE) == 24, "a slow look counts for one heartbeat"
    assert watch.look({ONE: 1, OTHER: 1}, 31, TIMES).silence(ONE) == 0, "a server that was gone has heard nothing"


def test_what_a_new_healer_sees_for_the_first_time_has_not_been_silent():
    assert Watch().look({ONE: 1}, 20, TIMES).silence(ONE) == 0


def test_each_sign_of_life_and_each_state_is_another_mark():
    run = flow_run(Running(), beats=True)

    assert mark_of(run) == mark_of(run.model_copy())
    assert mark_of(run) != mark_of(run.model_copy(update={"labels": {LABEL: 4}}))
    assert mark_of(run) != mark_of(run.model_copy(update={"state_id": uuid4()}))


@pytest.mark.parametrize(
    ("state", "attempt", "orphan"),
    [
        (Completed(), 2, True),
        (Crashed(), 2, True),
        (AwaitingRetry(), 2, True),
        (Running(), 1, True),
        (Running(), 2, False),
        (Paused(), 2, False),
    ],
)
def test_a_task_run_whose_attempt_has_ended_is_an_orphan(state: State, attempt: int, orphan: bool):
    task = TaskRun(task_key="train", dynamic_key="0", flow_run_run_count=attempt)

    assert is_orphan(task, flow_run(state, run_count=2)) is orphan
    assert not is_orphan(task, flow_run(state, run_count=2, deployed=False))


def test_the_times_are_settings():
    assert Times.of({}) == Times(10, 60, 300)
    assert Times.of({"UNBROKEN_HEARTBEAT": "30"}) == Times(30, 90, 300)
    set_all = {"UNBROKEN_HEARTBEAT": "1", "UNBROKEN_SILENCE": "5", "UNBROKEN_SUBMISSION": "20"}
    assert Times.of(set_all) == Times(1, 5, 20)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"UNBROKEN_SILENCE": "29"}, "found 29 s, expected at least 3 times UNBROKEN_HEARTBEAT, which is 10 s"),
        ({"UNBROKEN_SILENCE": "soon"}, "UNBROKEN_SILENCE: found 'soon', expected a number of seconds above 0"),
        ({"UNBROKEN_HEARTBEAT": "0"}, "UNBROKEN_HEARTBEAT: found '0'"),
        ({"UNBROKEN_SUBMISSION": "inf"}, "UNBROKEN_SUBMISSION: found 'inf'"),
        ({"UNBROKEN_HEARTBEAT": "nan"}, "UNBROKEN_HEARTBEAT: found 'nan'"),
    ],
)
def test_times_that_cannot_be_meant_are_refused_by_name(environment: dict[str, str], words: str):
    with pytest.raises(ConfigError, match="UNBROKEN") as refused:
        Times.of(environment)
    assert words in str(refused.value)
