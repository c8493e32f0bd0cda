"""A sweep, first: its trials."""

from unbroken.cli.progress_bar import progress_bar
from unbroken.orchestration.task_decorators import uncached_task
from unbroken.sweeps import run as library
from unbroken.sweeps.sweep import Sweep


@uncached_task
def run_trials(sweep: Sweep) -> str:
    """Train the trials that are not over; return how many there are and where they are."""
    with progress_bar() as report:
        library.run_trials(sweep, report)
    return f"{sweep.trials} trials in {sweep.folder}"
