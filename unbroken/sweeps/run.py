"""A sweep from wherever it stands to its end: its trials, and the best of them as a run."""

import logging

from unbroken.storage import atomic
from unbroken.storage.lock import exclusive
from unbroken.sweeps.journal import Outcome, Record
from unbroken.sweeps.publication import publish_best
from unbroken.sweeps.result import SweepResult, in_words, write_result
from unbroken.sweeps.settings import SweepConfig
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
