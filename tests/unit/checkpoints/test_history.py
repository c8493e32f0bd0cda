"""Decisions from the history alone."""

import math
from typing import Any

import pytest

from unbroken.checkpoints.history import best_epoch, is_finished, stopped_early
from unbroken.config import Config, TrainingConfig
from unbroken.config.chosen import Chosen


def history(*losses: float, monitor: str = "validation_loss") -> list[dict[str, float]]:
    return [{"epoch": epoch, monitor: loss} for epoch, loss in enumerate(losses, start=1)]


def chosen(**training: Any) -> Chosen:
    return Config(training=TrainingConfig(**training)).chosen


def test_the_best_epoch_has_the_smallest_loss_or_the_largest_score():
    assert best_epoch(history(3, 1, 2), "validation_loss") == 2
    assert best_epoch(history(3, 1, 2, monitor="validation_auroc"), "validation_auroc") == 1


def test_the_earliest_of_equals_is_the_best():
    assert best_epoch(history(2, 1, 1), "validation_loss") == 2


def test_a_metric_that_is_not_a_number_is_never_the_best():
    assert best_epoch(history(math.nan, 5, math.nan), "validation_loss") == 2
    assert best_epoch(history(math.nan), "validation_loss") is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_epoch_without_a_finite_metric_is_neither_the_best_nor_counted_as_no_better(bad: float):
    patient = chosen(patience=2, epochs=9)

    assert best_epoch(history(3, bad, 2, bad), "validation_loss") == 3
    assert best_epoch(history(0.5, bad, 0.6, bad, monitor="validation_auroc"), "validation_auroc") == 3
    assert best_epoch(history(bad, bad), "validation_loss") is None
    assert not stopped_early(history(1, bad, bad, bad), patient)
    assert not stopped_early(history(1, bad, 2, bad), patient)
    assert stopped_early(history(1, bad, 2, bad, 2), patient)
    assert not stopped_early(history(bad, bad, bad), patient)
    assert not is_finished(history(bad, bad, bad), patient)


@pytest.mark.parametrize(
    ("losses", "stopped"), [((3, 2, 1), False), ((1, 2), False), ((1, 2, 2), True), ((2, 1.95, 1.91), True)]
)
def test_a_training_stops_after_so_many_epochs_without_a_better_metric(losses: tuple[float, ...], stopped: bool):
    assert stopped_early(history(*losses), chosen(patience=2, min_delta=0.1)) is stopped


def test_a_training_without_patience_ends_with_its_last_epoch():
    assert not is_finished(history(1, 2, 3), chosen(epochs=4))
    assert is_finished(history(1, 2, 3, 4), chosen(epochs=4))
