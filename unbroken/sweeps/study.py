"""Optuna's samplers and pruners, made anew for each question from what the journal says.

Trial n is drawn, and pruned, by what came of the trials up to n - parallel, and by what later ones before it were drawn;
the seed of the sampler is a function of (seed, n). So the study is a function of its settings alone: neither a kill nor
the order in which trials end can change it.
"""

import logging
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from unbroken.config.metrics import smaller_is_better
from unbroken.data.permutation import derive
from unbroken.errors import ConfigError
from unbroken.sweeps.journal import Outcome, Proposal, Record
from unbroken.sweeps.settings import SweepConfig
from unbroken.sweeps.space import Choices, Range, Space

REDRAWS, RANDOM_REDRAWS = 20, 1000
"""How often a trial that was drawn before is drawn again: by the sampler, then at random."""
SEEDS = 1 << 32
WARM_UP, WARM_UP_EPOCHS = ("MedianPruner", "PercentilePruner"), 5
"""Pruners that leave so many epochs alone, at most a quarter, where their options do not say otherwise."""
STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.PRUNED}
"""A failed trial is one that got no further: samplers keep away from where it was."""
OF_A_WAITING_TRIAL = "fixed_params"
IsNew = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True, kw_only=True)
class Study:
    """Asks what to try next, and whether to go on."""

    config: SweepConfig
    space: Space
    key: str

    def require_sound(self) -> None:
        """Raise ConfigError if the sampler or the pruner cannot be made with its options."""
        self._sampler(0)
        self._pruner()

    def propose(self, trial: int, record: Record, is_new: IsNew) -> Proposal:
        """Return the settings of a trial, which no trial before it had.

        Args:
            trial: Its number.
            record: What the journal says: the proposals before it, and the outcomes up to trial - parallel.
            is_new: Tells whether no trial before it had these settings.
        """
        for attempt in range(REDRAWS + RANDOM_REDRAWS):
            seed = derive(self.config.seed, "sampler", trial, attempt) % SEEDS
            sampler = self._sampler(seed) if attempt < REDRAWS else RandomSampler(seed=seed)
            proposal = self._ask(trial, record, sampler)
            if is_new(proposal.settings):
                return proposal
        raise ConfigError(
            f"{self.config.space}: found nothing new for trial {trial} in {REDRAWS + RANDOM_REDRAWS} draws, expected a larger "
            f"space. Set sweep.trials to {trial}, or widen it"
        )

    def pruning(self, proposal: Proposal, record: Record) -> "Pruning":
        """Return what decides whether a trial goes on."""
        with quiet():
            study, _ = self._study(proposal.trial, record, RandomSampler(seed=0))
            study.enqueue_trial(dict(proposal.drawn))
            return Pruning(study.ask(self._distributions()), study)

    def _ask(self, trial: int, record: Record, sampler: BaseSampler) -> Proposal:
        with quiet():
            study, storage = self._study(trial, record, sampler)
            try:
                asked = study.ask(self._distributions())
            except ImportError as error:
                raise ConfigError(
                    f"sweep.sampler {self.config.sampler}: {error}. Install it, or take another"
                ) from None
            drawn = {name: self._rounded(name, value) for name, value in asked.params.items()}
            memory = storage.get_study_system_attrs(storage.get_study_id_from_name(self.key))
            return Proposal(
                trial=trial,
                settings=self.space.settings(drawn),
                drawn=drawn,
                attributes=dict(study.trials[-1].system_attrs),
                memory=dict(memory),
            )

    def _study(self, trial: int, record: Record, sampler: BaseSampler) -> tuple[optuna.Study, InMemoryStorage]:
        storage = InMemoryStorage()
        direction = "minimize" if smaller_is_better(self.monitor) else "maximize"
        study = optuna.create_study(
            storage=storage, sampler=sampler, pruner=self._pruner(), study_name=self.key, direction=direction
        )
        known, distributions = trial - self.config.parallel, self._distributions()
        for number in range(trial):
            outcome = record.outcomes[number] if number <= known else None
            study.add_trial(_frozen(record.proposals[number], outcome, distributions))
        if trial:
            study_id = storage.get_study_id_from_name(self.key)
            for name, value in record.proposals[trial - 1].memory.items():
                storage.set_study_system_attr(study_id, name, value)
        return study, storage

    @property
    def monitor(self) -> str:
        """The metric of the validation rows that trials are compared by."""
        monitor = self.config.train.chosen.monitor
        assert monitor is not None  # SweepConfig.require_complete
        return monitor

    def _rounded(self, name: str, value: float) -> float:
        dimension = self.space.dimensions[name]
        return dimension.value(value) if isinstance(dimension, Range) else value

    def _distributions(self) -> dict[str, BaseDistribution]:
        return {name: _distribution(dimension) for name, dimension in self.space.dimensions.items()}

    def _sampler(self, seed: int) -> BaseSampler:
        options = dict(self.config.sampler_options)
        if self.config.sampler == "GridSampler":
            options = {
                "search_space": {name: _grid(name, one) for name, one in self.space.dimensions.items()}
            } | options
        return _made(
            "sampler", optuna.samplers, self.config.sampler, options | {"seed": seed}, self.config.sampler_options
        )

    def _pruner(self) -> BasePruner:
        name, options = self.config.pruner, dict(self.config.pruner_options)
        if name is None:
            return NopPruner()
        epochs = self.config.train.chosen.epochs
        if name == "HyperbandPruner":
            options = {"max_resource": epochs} | options
        if name in WARM_UP:
            options = {"n_warmup_steps": min(WARM_UP_EPOCHS, epochs // 4)} | options
        return _made("pruner", optuna.pruners, name, options, self.config.pruner_options)


class Pruning:
    """One trial as its pruner sees it."""

    def __init__(self, trial: optuna.Trial, study: optuna.Study) -> None:
        self._trial, self._study = trial, study

    def ends(self, epoch: int, value: float) -> bool:
        """Take the metric of an epoch and tell whether the trial is to end with it."""
        with quiet():
            self._trial.report(value, epoch)
            return self._trial.should_prune()

    @property
    def attributes(self) -> dict[str, Any]:
        """What the pruner remembers of the trial."""
        attributes = self._study.trials[-1].system_attrs
        return {name: value for name, value in attributes.items() if name != OF_A_WAITING_TRIAL}


@contextmanager
def quiet() -> Generator[None]:
    """Keep Optuna from telling what it does, and that some of it is new."""
    log = logging.getLogger("optuna")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        log.setLevel(level)


def _frozen(proposal: Proposal, outcome: Outcome | None, distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    if outcome is None:
        state, values, value, attributes = TrialState.RUNNING, (), None, {}
    else:
        state, values, attributes = STATES[outcome.state], outcome.values, outcome.attributes
        value = outcome.value if state == TrialState.COMPLETE else None
    return create_trial(
        state=state,
        value=value,
        params=dict(proposal.drawn),
        distributions=distributions,
        intermediate_values={epoch: one for epoch, one in enumerate(values, start=1) if one is not None},
        system_attrs=proposal.attributes | attributes,
    )


def _distribution(dimension: Range | Choices) -> BaseDistribution:
    if isinstance(dimension, Choices):
        return CategoricalDistribution(list(range(len(dimension.choices))))
    if dimension.whole:
        step = 1 if dimension.step is None else int(dimension.step)
        low = int(dimension.low)
        high = low + (int(dimension.high) - low) // step * step
        return IntDistribution(low, high, log=dimension.log, step=step)
    if dimension.step is None:
        return FloatDistribution(float(dimension.low), float(dimension.high), log=dimension.log)
    low, step = (Decimal(str(number)) for number in (dimension.low, dimension.step))
    return FloatDistribution(float(low), float(low + (int(dimension.size) - 1) * step), step=float(step))


def _grid(name: str, dimension: Range | Choices) -> list[float | int]:
    if isinstance(dimension, Choices):
        return list(range(len(dimension.choices)))
    step = dimension.step or (1 if dimension.whole else None)
    if step is None:
        raise ConfigError(f"sweep.sampler: found GridSampler, but {name} has no step; give it one, or choices")
    return [dimension.value(dimension.low + index * step) for index in range(int(dimension.size))]


def _made(subject: str, home: Any, name: str, options: dict[str, Any], told: dict[str, Any]) -> Any:
    """Return an object of Optuna's; raise ConfigError with the options that the user told if it does not take them."""
    try:
        with quiet():
            return getattr(home, name)(**options)
    except (TypeError, ValueError, ImportError) as error:
        raise ConfigError(
            f"sweep.{subject}_options: found {told} for {name}, expected what it takes: {error}"
        ) from None
