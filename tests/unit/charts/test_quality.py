"""The numbers behind the charts are those of the definitions."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_average_precision

from unbroken.charts.quality import bands, calibration, calibration_error, confusion, curves, histogram
from unbroken.evaluation.scores import Area

RANDOM = np.random.default_rng(1)
LABELS = RANDOM.integers(0, 2, 1000)
SCORES = np.clip(np.round(RANDOM.normal(size=1000) + LABELS, 1) / 10 + 0.5, 0, 1)
"""With many equal ones."""


def test_the_areas_of_the_curves_are_those_of_the_definitions():
    found = curves(SCORES, LABELS == 1)

    assert found is not None
    assert found.area == pytest.approx(Area(SCORES, LABELS, 1)(None), abs=1e-12)
    expected = binary_average_precision(torch.from_numpy(SCORES), torch.from_numpy(LABELS))
    assert found.average_precision == pytest.approx(float(expected), abs=1e-6)
    assert (found.true_positive[0], found.true_positive[-1], found.false_positive[-1]) == (0.0, 1.0, 1.0)
    assert (np.diff(found.true_positive) >= 0).all()


def test_a_class_that_has_none_or_all_of_the_rows_has_no_curves():
    assert curves(SCORES, np.zeros(1000, bool)) is None
    assert curves(SCORES, np.ones(1000, bool)) is None


def test_probabilities_that_come_true_as_often_as_they_say_are_calibrated():
    probabilities = RANDOM.random(20_000)
    came_true = RANDOM.random(20_000) < probabilities

    right, wrong = calibration(probabilities, came_true), calibration(probabilities**2, came_true)

    assert sum(part.rows for part in right) == 20_000
    assert sum(part.low <= part.predicted <= part.high for part in right) >= 8
    assert calibration_error(right) < 0.02
    assert calibration_error(wrong) > 0.1


def test_the_interval_of_a_bin_lies_within_0_and_1_and_around_the_share():
    (none,) = calibration(np.full(1, 0.5), np.zeros(1, bool))

    assert none.low == none.observed == 0.0
    assert none.observed < none.high < 1.0


def test_confusion_counts_true_classes_by_predicted_ones():
    assert confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_a_histogram_holds_every_row_also_those_far_off():
    assert sum(count for *_, count in histogram(np.append(RANDOM.normal(size=1000), 1e9))) == 1001
    assert histogram(np.ones(5)) == [(1.0, 1.0, 5)]


def test_bands_follow_the_true_values():
    values = np.arange(1000.0)

    parts = bands(values, values * 2)

    assert all(abs(part.middle - 2 * part.predicted) < 1 for part in parts)
    assert all(part.low < part.middle < part.high for part in parts)
