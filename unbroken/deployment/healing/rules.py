"""What should happen to a run, given its state and how long nothing was heard of it: pure decisions."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, StateType, TaskRun

from unbroken.errors import ConfigError
from unbroken.orchestration.heartbeat import HEARTBEAT, HEARTBEAT_SECONDS, LABEL, seconds
from unbroken.orchestration.restart import GAVE_UP, LOST, TAG

SILENCE = "UNBROKEN_SILENCE"
SUBMISSION = "UNBROKEN_SUBMISSION"
HEARTBEATS = 3
"""How many signs of life must be missing at least before a run counts as lost, or as ended where a crash is reported."""

ACTIVE = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
"""Types of the states in which a flow run should have a process."""

TASK_ACTIVE = [StateType.RUNNING, StateType.PENDING]

Marks = Mapping[UUID, Any]
"""By the id of what is watched: a value that changes with every sign of life."""


class Act(Enum):
    """What a run needs."""

    LOSE = auto()
    """It has no process any more: it ends as lost, and is then started again if it may be."""
    CANCEL = auto()
    """No process is left that could carry its cancellation out."""
    RESTART = auto()
    """It crashed, and nobody has started it again."""


@dataclass(frozen=True)
class Times:
    """How long what may last, in seconds."""

    heartbeat: float = HEARTBEAT_SECONDS
    silence: float = 60.0
    submission: float = 300.0

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> "Times":
        """Return what the environment sets; raise ConfigError where it cannot be meant."""
        heartbeat = seconds(HEARTBEAT, cls.heartbeat, environment)
        silence = seconds(SILENCE, max(cls.silence, HEARTBEATS * heartbeat), environment)
        if silence < HEARTBEATS * heartbeat:
            raise ConfigError(
                f"{SILENCE}: found {silence:g} s, expected at least {HEARTBEATS} times {HEARTBEAT}, which is {heartbeat:g} s: "
                f"a run that lives would be taken for dead. Raise it, or lower {HEARTBEAT}"
            )
        return cls(heartbeat, silence, seconds(SUBMISSION, cls.submission, environment))

    @property
    def interval(self) -> float:
        """Return how often to look."""
        return self.heartbeat / 2

    @property
    def longest_gap(self) -> float:
        """Return the longest time between two looks that counts as silence; what is left is time to be heard of again."""
        return self.silence / 2


@dataclass(frozen=True)
class Watch:
    """How long each thing has shown no sign of life; only time counts in which the server answered, look after look.

    A look counts for one heartbeat at most, however long the server took: where all is slow, so are the signs of life.
    """

    marks: Marks = field(default_factory=dict)
    silences: Mapping[UUID, float] = field(default_factory=dict)

    def look(self, marks: Marks, elapsed: float, times: Times) -> "Watch":
        """Return the watch after a look.

        Args:
            marks: What is seen now.
            elapsed: Seconds since the look before, that is, since the server last answered.
            times: After a gap longer than their longest all begins anew: a server that did not answer has heard nothing.
        """
        if elapsed > times.longest_gap:
            return Watch(marks, {})
        same = [key for key, mark in marks.items() if key in self.marks and self.marks[key] == mark]
        counted = min(elapsed, times.heartbeat)
        return Watch(marks, {key: self.silence(key) + counted for key in same})

    def silence(self, key: UUID) -> float:
        """Return how long something has not changed."""
        return self.silences.get(key, 0.0)


def mark_of(run: FlowRun) -> tuple[Any, ...]:
    """Return what changes with each sign of life of a flow run."""
    return run.state_id, run.updated, run.labels.get(LABEL)


def is_watched(run: FlowRun) -> bool:
    """Tell whether a flow run gives signs of life; those of other flows on the server are left alone."""
    return LABEL in run.labels or may_restart(run)


def may_restart(run: FlowRun) -> bool:
    """Tell whether a flow run is started again after a crash."""
    return run.deployment_id is not None and TAG in run.tags


def act_for(run: FlowRun, silence: float, times: Times) -> Act | None:
    """Return what a flow run needs; None if it is as it should be, or may still become so by itself.

    Args:
        run: The flow run.
        silence: For how many seconds nothing of it has changed.
        times: The limits.
    """
    state = run.state
    if state is None or not is_watched(run):
        return None
    if state.is_crashed():
        if not may_restart(run) or state.name == GAVE_UP:
            return None
        # Who reported the crash may just be starting it, or its process, whose supervisor died, may just be saving.
        unattended = state.name == LOST or silence >= HEARTBEATS * times.heartbeat
        return Act.RESTART if unattended else None
    if state.type not in ACTIVE:
        return None
    if silence < (times.submission if state.is_pending() else times.silence):
        return None
    return Act.CANCEL if state.is_cancelling() else Act.LOSE


def is_orphan(task: TaskRun, run: FlowRun) -> bool:
    """Tell whether a task run that should be at work belongs to an attempt of its flow run that has ended."""
    state = run.state
    if state is None or not is_watched(run):
        return False
    return state.is_final() or state.is_scheduled() or task.flow_run_run_count < run.run_count


def explain(run: FlowRun, times: Times) -> str:
    """Return why a flow run counts as lost."""
    if run.state is not None and run.state.is_pending():
        return f"{run.state.name} for {times.submission:g} s and not running: what was to start it is gone"
    return f"no sign of life for {times.silence:g} s: its machine or its processes are gone"
