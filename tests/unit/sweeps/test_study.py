import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sweeps.sweeps import configure, write_source
from unbroken.errors import ConfigError
from unbroken.sweeps.journal import Outcome, Proposal, Record
from unbroken.sweeps.settings import SweepConfig
from unbroken.sweeps.space import Space
from unbroken.sweeps.study import Study

KEY = "0123456789abcdef"


def name(settings: dict[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)


def propose(study: Study, trial: int, record: Record) -> Proposal:
    before = {name(record.proposals[number].settings) for number in range(trial)}
    return study.propose(trial, record, lambda settings: name(settings) not in before)


def study_of(config: SweepConfig) -> Study:
    return Study(config=config, space=Space.read(Path(config.space), config.train), key=KEY)


def values_of(settings: dict[str, Any]) -> tuple[float, ...]:
    """Return made-up metrics of a trial's epochs."""
    rate, dropout = settings["training.learning_rate"], settings["model.options.dropout"]
    return tuple(abs(rate - 0.02) * 3 + dropout + 1 / epoch for epoch in range(1, 5))


def outcome_of(study: Study, record: Record, trial: int) -> Outcome:
    proposal = record.proposals[trial]
    pruning, values = study.pruning(proposal, record), list[float | None]()
    for value in values_of(proposal.settings):
        values.append(value)
        if pruning.ends(len(values), value):
            return Outcome(trial=trial, state="pruned", run="", values=tuple(values), attributes=pruning.attributes)
    return Outcome(
        trial=trial,
        state="complete",
        run="",
        values=tuple(values),
        epoch=4,
        value=values[-1],
        attributes=pruning.attributes,
    )


def search(study: Study, trials: int) -> Record:
    """Return what a sweep in one process comes to, with made-up metrics."""
    record = Record()
    for trial in range(trials):
        record.take(propose(study, trial, record))
        record.take(outcome_of(study, record, trial))
    return record


SAMPLERS = [
    ("RandomSampler", {}),
    ("QMCSampler", {}),
    pytest.param("GPSampler", {}, marks=pytest.mark.slow),
    ("TPESampler", {}),
    ("TPESampler", {"multivariate": True, "constant_liar": True}),
]
PRUNERS = [
    ("MedianPruner", {"n_startup_trials": 2}),
    ("SuccessiveHalvingPruner", {}),
    ("HyperbandPruner", {"min_resource": 1}),
    (None, {}),
]


@pytest.mark.parametrize(("sampler", "options"), SAMPLERS)
def test_a_trial_is_drawn_anew_as_it_was(tmp_path: Path, sampler: str, options: dict[str, Any]):
    write_source(tmp_path)
    study = study_of(configure(tmp_path, sampler=sampler, sampler_options=options, parallel=2))
    record = search(study, 14)

    for trial in (0, 5, 13):
        assert propose(study, trial, record) == record.proposals[trial]


def test_a_trial_depends_on_no_outcome_that_may_still_be_missing(tmp_path: Path):
    write_source(tmp_path)
    study = study_of(configure(tmp_path, parallel=4))
    record = search(study, 15)
    early = Record(
        proposals=dict(record.proposals), outcomes={trial: record.outcomes[trial] for trial in range(15 - 4)}
    )

    assert propose(study, 14, early) == record.proposals[14]
    assert outcome_of(study, early, 14) == record.outcomes[14]


def test_another_seed_draws_other_trials(tmp_path: Path):
    write_source(tmp_path)
    one, other = (propose(study_of(configure(tmp_path, seed=seed)), 0, Record()) for seed in (0, 1))

    assert one.settings != other.settings


@pytest.mark.parametrize(("pruner", "options"), PRUNERS)
def test_a_trial_is_pruned_as_it_was(tmp_path: Path, pruner: str | None, options: dict[str, Any]):
    write_source(tmp_path)
    study = study_of(configure(tmp_path, pruner=pruner, pruner_options=options, parallel=1))
    record = search(study, 12)

    assert [outcome_of(study, record, trial) for trial in range(12)] == list(record.outcomes.values())
    pruned = [outcome for outcome in record.outcomes.values() if outcome.state == "pruned"]
    assert bool(pruned) == (pruner is not None)


@pytest.mark.parametrize("sampler", ["GridSampler", "RandomSampler", "TPESampler"])
def test_no_trial_is_drawn_twice_where_the_space_is_small(tmp_path: Path, sampler: str):
    write_source(tmp_path)
    (tmp_path / "space.toml").write_text(
        '"training.batch_size" = { low = 16, high = 64, step = 16 }\n"model.options.hidden" = { choices = [[4], [8]] }'
    )
    study, record = study_of(configure(tmp_path, sampler=sampler, pruner=None)), Record()
    for trial in range(8):
        record.take(propose(study, trial, record))
        record.take(
            Outcome(
                trial=trial, state="complete", run="", values=(1.0 / (trial + 1),), epoch=1, value=1.0 / (trial + 1)
            )
        )

    assert len({name(proposal.settings) for proposal in record.proposals.values()}) == 8


def test_a_failed_trial_is_known_to_the_sampler(tmp_path: Path):
    write_source(tmp_path)
    study = study_of(configure(tmp_path, parallel=1, sampler_options={"n_startup_trials": 2}))
    record = Record()
    for trial in range(4):
        record.take(propose(study, trial, record))
        record.take(Outcome(trial=trial, state="failed", run="", values=(), because="the loss became no number"))

    assert propose(study, 4, record).trial == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sampler": "Sampler"}, "sweep.sampler: found 'Sampler', expected one of GPSampler"),
        ({"sampler_options": {"seed": 1}}, "sweep.sampler_options: found {'seed': 1}, expected no `seed`"),
        ({"sampler_options": {"speed": 1}}, "sweep.sampler_options: found {'speed': 1} for TPESampler"),
        ({"sampler": "GridSampler"}, "found GridSampler, but model.options.dropout has no step"),
        ({"pruner": "Pruner"}, "sweep.pruner: found 'Pruner', expected one of HyperbandPruner"),
        ({"pruner_options": {"speed": 1}}, "sweep.pruner_options: found {'speed': 1} for MedianPruner"),
        ({"parallel": 2, "workers": 3}, "sweep.workers: found 3, expected at most sweep.parallel, 2"),
    ],
)
def test_a_sampler_or_pruner_that_cannot_be_used_is_refused(tmp_path: Path, settings: dict[str, Any], message: str):
    write_source(tmp_path)

    with pytest.raises(ConfigError) as refusal:
        study_of(configure(tmp_path, **settings)).require_sound()

    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("group", "changes", "message"),
    [
        (
            "split",
            {"validation_fraction": 0.0},
            "split.validation_fraction: found 0.0, expected above 0: trials are compared",
        ),
        (
            "training",
            {"test_scores": "every_epoch"},
            "training.test_scores: found 'every_epoch', expected 'auto' or 'once'",
        ),
        ("checkpoint", {"publish": "last"}, "checkpoint.publish: found 'last', expected 'auto' or 'best'"),
        ("data", {"source": ""}, "data.source: found nothing"),
    ],
)
def test_a_training_that_cannot_be_compared_is_refused(
    tmp_path: Path, group: str, changes: dict[str, Any], message: str
):
    write_source(tmp_path)
    config = configure(tmp_path)
    config = replace(config, train=replace(config.train, **{group: replace(getattr(config.train, group), **changes)}))

    with pytest.raises(ConfigError) as refusal:
        config.require_complete()

    assert message in str(refusal.value)
