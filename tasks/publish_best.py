"""A sweep, last: the best of its trials."""

from unbroken.orchestration.artifacts import show_sweep
from unbroken.orchestration.task_decorators import uncached_task
from unbroken.sweeps import run as library
from unbroken.sweeps.result import SweepResult, Trials
from unbroken.sweeps.sweep import Sweep


@uncached_task
def publish_best(sweep: Sweep) -> SweepResult:
    """Publish the best as a run, which alone is scored on the test rows, and show the table of all."""
    result = library.publish(sweep)
    show_sweep(sweep.key, Trials.read(sweep).markdown())
    return result
