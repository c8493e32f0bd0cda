"""Train, evaluate and publish a model in six stages; after any end, the same command goes on from where it was."""

if __name__ == "__main__":  # before Prefect and torch are imported: help, mistakes and finished runs do not need them
    import sys

    from unbroken.cli.main import main

    main(["train", *sys.argv[1:]])

from tasks.load_checkpoint import load_checkpoint
from tasks.load_data import load_data
from tasks.preprocess import preprocess
from tasks.save_checkpoint import save_checkpoint
from tasks.split import split
from tasks.track import track
from tasks.train import train as train_model
from unbroken.charts.report import write_report_or_warn
from unbroken.config import Config
from unbroken.orchestration.artifacts import show_report
from unbroken.orchestration.assets import declare_assets
from unbroken.orchestration.caching import ResultFolder
from unbroken.orchestration.flow_decorators import resumable_flow
from unbroken.orchestration.notification import require_block
from unbroken.run import begin, open_run
from unbroken.stages import finished
from unbroken.stages.nearest_run import tell_nearest_run
from unbroken.stages.results import Restored


@resumable_flow("train", "{config.data.source} {config.chosen.model.factory}")
def train(config: Config = Config()) -> Restored:  # noqa: B008 (frozen)
    """Train, evaluate and publish a model; started again after any end, it goes on from where it was.

    Args:
        config: The data, the model and how it is trained.
    """
    require_block(config.notify)
    run, dataset = begin(config, open_run(config), lambda run: ResultFolder(run.results)(load_data)(config.data, run))
    tell_nearest_run(run, config)
    cached = ResultFolder(run.results)
    preprocessed = cached(preprocess)(dataset, config.chosen.preprocess, config.chosen.split, run, config.start)
    splits = cached(split)(preprocessed, config.chosen.split, run)
    last = cached(train_model)(splits, preprocessed.encoder, config, run)
    publish = declare_assets(save_checkpoint, str(run.published), config.data.source)
    published = cached(publish)(last, splits, preprocessed.encoder, config, run)
    restored = cached(load_checkpoint)(published, splits, preprocessed.encoder, config, run)
    if config.tracking.uri:
        track(restored, run, config)
    finished.record(run, config, restored, dataset, preprocessed, splits, last, published)
    show_report(run, write_report_or_warn(run, config))
    return restored
