"""A sweep from wherever it stands to its end: its trials, and the best of them as a run."""

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
from unbroken.storage.lock import exclusive
from unbroken.sweeps.journal import Outcome, Publication, Record
from unbroken.sweeps.result import SweepResult, in_words, write_result
from unbroken.sweeps.settings import SweepConfig
from unbroken.sweeps.shared_data import SharedData
from unbroken.sweeps.study import Study
from unbroken.sweeps.sweep import Sweep
from unbroken.sweeps.workers import Workers, workers_of
from unbroken.training.progress import Report

log = logging.getLogger(__name__)


def run_sweep(config: SweepConfig, report: Report = lambda _: None) -> SweepResult:
    """Train the trials of a sweep and publish the best; the same call after any end goes on from where it was.

    Args:
        config: The space, and how it is searched.
        report: Called with the progress of a trial that trains in this process, some times a second.

    Raises:
        UnbrokenError: With what is wrong with a setting, the space, the data or a checkpoint, and the way out.
        OSError: If a file cannot be read or written, which may pass.
    """
    sweep = Sweep.open(config)
    run_trials(sweep, report)
    return publish(sweep, report)


def run_trials(sweep: Sweep, report: Report = lambda _: None) -> None:
    """Train the trials of a sweep that are not over, as `run_sweep` does."""
    study = Study(config=sweep.config, space=sweep.space, key=sweep.key)
    study.require_sound()
    atomic.make_folder(sweep.path)
    with exclusive(sweep.path, wait=sweep.config.train.checkpoint.wait):
        sweep.describe()
        if len(_done(sweep.journal.read(), sweep.trials)) < sweep.trials:
            with workers_of(sweep, study, report) as workers:
                _Trials(sweep, study, workers).run()


def publish(sweep: Sweep, report: Report = lambda _: None) -> SweepResult:
    """Publish the best trial of a sweep that is over, and keep what came of it."""
    with exclusive(sweep.path, wait=sweep.config.train.checkpoint.wait):
        return write_result(sweep, publish_best(sweep, report))


def _done(record: Record, trials: int) -> dict[int, Outcome]:
    return {trial: outcome for trial, outcome in record.outcomes.items() if trial < trials}


class _Trials:
    """Starts trials in their order, each once all up to `parallel` before it are over."""

    def __init__(self, sweep: Sweep, study: Study, workers: Workers) -> None:
        self.sweep, self.study, self.workers = sweep, study, workers
        self.record = sweep.journal.read()
        self.following, self.running = 0, set[int]()
        self.keys = {trial: sweep.key_of(proposal.settings) for trial, proposal in self.record.proposals.items()}

    def run(self) -> None:
        """Train until all are over."""
        while len(_done(self.record, self.sweep.trials)) < self.sweep.trials:
            while len(self.running) < self.sweep.config.workers and self._may_start():
                self._start()
            outcome = self.workers.next()
            self.running.discard(outcome.trial)
            self._note(outcome)

    def _may_start(self) -> bool:
        outcomes = self.record.outcomes
        while self.following in outcomes and self.following < self.sweep.trials:
            self.following += 1
        last = self.following - self.sweep.config.parallel
        return self.following < self.sweep.trials and all(trial in outcomes for trial in range(last + 1))

    def _start(self) -> None:
        trial = self.following
        if trial not in self.record.proposals:
            known = {key for number, key in self.keys.items() if number < trial}
            proposal = self.study.propose(trial, self.record, lambda settings: self.sweep.key_of(settings) not in known)
            self.keys[trial] = self.sweep.key_of(proposal.settings)
            self.sweep.journal.append(proposal)
            self.record.take(proposal)
        self.workers.start(trial)
        self.running.add(trial)
        self.following += 1

    def _note(self, outcome: Outcome) -> None:
        self.sweep.journal.append(outcome)
        self.record.take(outcome)
        proposal = self.record.proposals[outcome.trial]
        log.info(
            "trial %d of %d  %s", outcome.trial, self.sweep.trials, in_words(proposal, outcome, self.study.monitor)
        )


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
