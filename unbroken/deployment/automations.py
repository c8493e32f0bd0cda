"""Rules on the server that restart tagged runs where no process is left to report their crash."""

from datetime import timedelta

from prefect.automations import AutomationCore
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from unbroken.orchestration.restart import RESTARTS, TAG

SILENCE = timedelta(seconds=90)
"""Three heartbeats of the deployments' PREFECT_FLOWS_HEARTBEAT_FREQUENCY."""

SUBMISSION = timedelta(minutes=5)
UNATTENDED = timedelta(seconds=30)


def automations() -> list[AutomationCore]:
    """Return the rules: a silent run has crashed; a crashed run that nobody started again is; a stuck one starts anew."""
    silent = f"no heartbeat for {SILENCE.seconds} s: the machine or its processes are gone"
    unattended = "nobody started the run again; goes on from its newest checkpoint"
    stuck = f"submitted {SUBMISSION.seconds} s ago and not running: its worker is gone"
    return [
        _when_nothing_follows("heartbeat", SILENCE, _set_state(StateType.CRASHED, "Crashed", silent)),
        _when_nothing_follows(
            "Crashed", UNATTENDED, _set_state(StateType.SCHEDULED, "AwaitingRetry", unattended), RESTARTS
        ),
        _when_nothing_follows("Submitting", SUBMISSION, _set_state(StateType.SCHEDULED, "AwaitingRetry", stuck)),
    ]


def _set_state(state: StateType, name: str, message: str) -> ChangeFlowRunState:
    return ChangeFlowRunState(state=state, name=name, message=message)


def _when_nothing_follows(
    event: str, within: timedelta, action: ChangeFlowRunState, run_limit: int | None = None
) -> AutomationCore:
    """Return the rule: `action` if no event of a run comes `within` a time after `event`, up to its `run_limit`-th attempt."""
    resource: dict[str, str | list[str]] = {"prefect.resource.id": "prefect.flow-run.*"}
    if run_limit is not None:
        # From 1 on: one that never ran at all, for want of a command or an image, would only fail again and again.
        resource["prefect.run-count"] = [str(count) for count in range(1, run_limit + 1)]
    trigger = EventTrigger(
        posture=Posture.Proactive,
        match=ResourceSpecification(resource),
        match_related=ResourceSpecification({"prefect.resource.id": f"prefect.tag.{TAG}"}),
        for_each={"prefect.resource.id"},
        after={f"prefect.flow-run.{event}"},
        expect={"prefect.flow-run.*"},
        threshold=1,
        within=within,
    )
    return AutomationCore(
        name=f"unbroken: nothing after {event}",
        description=f"{action.message}. Holds for runs tagged {TAG}.",
        trigger=trigger,
        actions=[action],
    )
