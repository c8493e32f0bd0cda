"""Metrics against numbers worked out by hand."""

import math

import pytest
import torch
from torch import Tensor, nn

from unbroken.batches.rows import Rows
from unbroken.config import TaskName
from unbroken.data.schema import Column
from unbroken.evaluation.metrics import evaluate
from unbroken.features.encoder import LabelScale
from unbroken.models.loss import loss_of

LABEL = LabelScale(column=Column(name="label", kind="number"), classes=(), mean=0.0, deviation=1.0)


class Given(nn.Module):
    """Returns its first inputs as logits."""

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        return numbers


def rows_of(logits: Tensor, labels: Tensor) -> Rows:
    return Rows(logits, torch.empty(len(labels), 0, dtype=torch.long), labels)


def test_binary_metrics_are_those_worked_out_by_hand():
    probabilities = torch.tensor([[0.9], [0.8], [0.3], [0.6], [0.1]])
    rows = rows_of(probabilities.logit(), torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0]))

    found = evaluate(Given(), rows, "binary", LABEL)

    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["auroc"] == pytest.approx(5 / 6)
    assert found["f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    expected = -(math.log(0.9) + math.log(0.8) + math.log(0.3) + math.log(0.4) + math.log(0.9)) / 5
    assert found["loss"] == pytest.approx(expected, rel=1e-6)


def test_multiclass_metrics_are_those_worked_out_by_hand():
    logits = torch.eye(3)[[0, 1, 2, 2]] * 5
    found = evaluate(Given(), rows_of(logits, torch.tensor([0, 1, 2, 1])), "multiclass", LABEL)

    assert found["accuracy"] == pytest.approx(3 / 4)
    assert found["f1"] == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)


def test_regression_metrics_are_in_the_labels_own_unit():
    label = LabelScale(column=Column(name="label", kind="number"), classes=(), mean=100.0, deviation=10.0)
    rows = rows_of(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([0.0, 1.0, 0.0]))

    found = evaluate(Given(), rows, "regression", label)

    assert found["mae"] == pytest.approx(20 / 3)
    assert found["rmse"] == pytest.approx(math.sqrt(400 / 3))
    assert found["r2"] == pytest.approx(1 - 400 / (2 / 3 * 100))
    assert found["loss"] == pytest.approx(4 / 3)


def test_auroc_is_not_a_number_where_the_rows_hold_one_class_only():
    found = evaluate(Given(), rows_of(torch.zeros(3, 1), torch.ones(3)), "binary", LABEL)

    assert math.isnan(found["auroc"])


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_class_weights_of_one_change_nothing(task: TaskName):
    logits = torch.randn(8, 1 if task == "binary" else 2, generator=torch.manual_seed(0))
    labels = torch.tensor([0, 1] * 4)
    labels = labels.float() if task == "binary" else labels

    assert torch.allclose(loss_of(logits, labels, task), loss_of(logits, labels, task, torch.ones(2)))


def test_class_weights_multiply_the_loss_of_their_rows():
    logits, labels = torch.tensor([[0.0], [0.0]]), torch.tensor([0.0, 1.0])

    weighted = loss_of(logits, labels, "binary", torch.tensor([1.0, 3.0]))

    assert weighted.item() == pytest.approx(2 * math.log(2), rel=1e-6)


def test_evaluation_leaves_the_models_mode_as_it_was():
    model = nn.Sequential(nn.Dropout(0.5))
    model.forward = lambda numbers, codes: numbers  # ty: ignore[invalid-assignment]
    model.train()

    evaluate(model, rows_of(torch.zeros(2, 1), torch.tensor([0.0, 1.0])), "binary", LABEL)

    assert model.training
