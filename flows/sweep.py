"""Search for better settings by many trainings, and publish the best; after any end, the same command goes on from where it was."""

if __name__ == "__main__":  # before Prefect and torch are imported: help and mistakes do not need them
    import sys

    from unbroken.cli.main import main

    main(["sweep", *sys.argv[1:]])

from tasks.publish_best import publish_best
from tasks.run_trials import run_trials
from unbroken.orchestration.flow_decorators import resumable_flow
from unbroken.sweeps.result import SweepResult
from unbroken.sweeps.settings import SweepConfig
from unbroken.sweeps.sweep import Sweep


@resumable_flow("sweep", "{config.train.data.source} by {config.space}")
def sweep(config: SweepConfig = SweepConfig()) -> SweepResult:  # noqa: B008 (frozen)
    """Train the trials of a sweep that are not over, and publish the best as a run; started again after any end, it goes on.

    Args:
        config: The space, how it is searched, and how each trial is trained.
    """
    opened = Sweep.open(config)
    run_trials(opened)
    return publish_best(opened)
