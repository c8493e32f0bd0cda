"""Train a challenger on new rows, and promote it if it is truly better on rows that neither has seen."""

if __name__ == "__main__":  # before Prefect and torch are imported: help, mistakes and finished runs do not need them
    import sys

    from unbroken.cli.main import main

    main(["retrain", *sys.argv[1:]])

from flows.train import train
from tasks.check_data import check_data
from tasks.compare import compare
from tasks.deliver import deliver
from tasks.find_new_data import find_new_data
from tasks.prepare_data import prepare_data
from tasks.promote import promote
from unbroken.charts.retraining.report import write_decision_or_warn
from unbroken.config import RetrainConfig
from unbroken.orchestration.artifacts import show_decision, show_failed_round
from unbroken.orchestration.caching import ResultFolder
from unbroken.orchestration.flow_decorators import decided, resumable_flow, skipped
from unbroken.orchestration.notification import require_block
from unbroken.retraining.promotion import Decision


@resumable_flow("retrain", "{config.model} from {config.train.data.source}", show_failed_round)
def retrain(config: RetrainConfig = RetrainConfig()) -> Decision:  # noqa: B008 (frozen)
    """Train a challenger on what is new, and make it the champion if it is truly better on rows that neither has seen.

    Args:
        config: The model, where its new rows arrive, and when a challenger wins.
    """
    require_block(config.train.notify)
    deliver(config)  # what a round that died has left
    cycle = find_new_data(config)
    if cycle is None:
        return skipped()
    cached = ResultFolder(cycle.results)
    datasets = cached(prepare_data)(cycle, config)
    check = cached(check_data)(cycle, datasets, config)
    challenger = train(datasets.config)
    verdict = cached(compare)(cycle, datasets, challenger, config)
    decision = promote(cycle, datasets, check, challenger, verdict, config)
    deliver(config)
    page = write_decision_or_warn(decision, cycle, datasets, check, challenger, config)
    show_decision(decision, cycle, check, page)
    return decided(decision)
