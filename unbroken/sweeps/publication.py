"""The best trial as a run of its own: trained no further, published, and scored on the test rows for the first time."""

import logging
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from unbroken import run_name
from unbroken.charts.report import write_report_or_warn
from unbroken.checkpoints.store import CheckpointStore
from unbroken.config import Config
from unbroken.config.metrics import smaller_is_better
from unbroken.errors import TrainingError
from unbroken.pipeline import finish, record
from unbroken.run import DESCRIPTION, Run, has_checkpoint
from unbroken.run_name import named
from unbroken.stages import finished
from unbroken.stages.results import Restored
from unbroken.storage import atomic
from unbroken.storage.journal import Journal
from unbroken.sweeps.journal import Outcome, Publication, Record
from unbroken.sweeps.shared_data import SharedData
from unbroken.sweeps.sweep import Sweep
from unbroken.training.progress import Report

log = logging.getLogger(__name__)


def best_of(record: Record, trials: int, monitor: str) -> Outcome | None:
    """Return the complete trial with the best metric, the earliest of equals; None if none is complete."""
    sign = 1 if smaller_is_better(monitor) else -1
    outcomes = [one for trial, one in sorted(record.outcomes.items()) if trial < trials and one.state == "complete"]
    return min(outcomes, key=lambda outcome: sign * (outcome.value or 0.0), default=None)


def publish_best(sweep: Sweep, report: Report) -> Restored:
    """Publish the best trial of a sweep as a run in the `runs_folder` of its settings.

    Raises:
        TrainingError: No trial came to its end.
        CheckpointError: A checkpoint is not whole, or the run was trained further meanwhile by other code.
    """
    noted, monitor = sweep.journal.read(), str(sweep.config.train.chosen.monitor)
    best = best_of(noted, sweep.trials, monitor)
    if best is None:
        reasons = {outcome.because for outcome in noted.outcomes.values() if outcome.because}
        raise TrainingError(
            f"{sweep.folder}: found none of {sweep.trials} trials complete, expected one: {'; '.join(sorted(reasons))}. "
            f"Mend {sweep.config.space}"
        )
    config, run = _place(sweep, sweep.best_config(noted.proposals[best.trial].settings))
    _give_name_back(sweep, noted, run)
    restored = finished.load(run, config)
    if restored is None:
        if not has_checkpoint(run.path):
            _adopt(sweep.runs / best.run, run)
        prepared = SharedData(sweep).share(config, run)
        restored = record(prepared, *finish(prepared, report))
        write_report_or_warn(run, config)
    publication = Publication(trial=best.trial, run=run.key, sha256=restored.digest)
    if publication not in noted.publications[-1:]:
        sweep.journal.append(publication)
    return restored


def _place(sweep: Sweep, config: Config) -> tuple[Config, Run]:
    """Return the run that the best becomes: among the sweep's own where that of the user was trained further meanwhile."""
    run, epochs = sweep.run_of(config), config.chosen.epochs
    entries = CheckpointStore(run.checkpoints, Journal(run.journal)).entries() if run.checkpoints.is_dir() else []
    if not entries or entries[0].order <= (epochs, 0):
        return config, run
    log.warning(
        "%s: has been trained to more than %d epochs; the best is published in %s", run.folder, epochs, sweep.runs
    )
    config = replace(config, runs_folder=str(sweep.runs))
    return config, sweep.run_of(config)


def _adopt(source: Path, run: Run) -> None:
    """Copy what a trial's run has been trained to, the oldest checkpoint first.

    Whatever a kill leaves undone is trained again, to the same bytes.
    """
    atomic.make_folder(run.checkpoints)
    for name in (DESCRIPTION, run.journal.name, run.code.name):
        if (source / name).is_file():
            atomic.write(run.path / name, (source / name).read_bytes())
    for checkpoint in sorted((source / run.checkpoints.name).glob("*.pth")):
        target = run.checkpoints / checkpoint.name
        with suppress(FileExistsError):
            try:
                os.link(checkpoint, target, follow_symlinks=False)
            except FileExistsError:
                raise
            except OSError:
                with open(checkpoint, "rb") as content, atomic.replacing(target) as copy:
                    shutil.copyfileobj(content, copy)
    atomic.sync_folder(run.checkpoints)


def _give_name_back(sweep: Sweep, noted: Record, run: Run) -> None:
    """Take the name of the best from the run that was it while there were fewer trials."""
    own = {publication.run for publication in noted.publications}
    for folder in named(run.path.parent, sweep.name):
        if folder != run.path and folder.name in own:
            (folder / run_name.FILE).unlink(missing_ok=True)
