"""The rooms that hold tensors are checked against their annotations in these tests."""

import random

import pytest
import torch
from jaxtyping import TypeCheckError

from unbroken.batches.rows import Rows
from unbroken.models.loss import loss_of
from unbroken.models.mlp import MLP
from unbroken.optimization.optimizer import class_names
from unbroken.training.state import TrainState


def test_rows_of_a_wrong_shape_or_type_are_refused():
    numbers, codes, labels = torch.zeros(3, 2), torch.zeros(3, 0, dtype=torch.long), torch.zeros(3)
    Rows(numbers, codes, labels)

    for wrong in ((numbers[0], codes, labels), (numbers, codes.float(), labels), (numbers[:2], codes, labels)):
        with pytest.raises(TypeCheckError):
            Rows(*wrong)


def test_logits_of_a_wrong_shape_are_refused():
    with pytest.raises(TypeCheckError, match="logits"):
        loss_of(torch.zeros(3), torch.zeros(3), "binary")


def test_a_sum_of_losses_in_single_precision_is_refused():
    model = MLP.__new__(MLP)
    torch.nn.Module.__init__(model)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)])

    with pytest.raises(TypeCheckError, match="loss_sum"):
        TrainState(model=model, optimizer=optimizer, scheduler=None, loss_sum=torch.zeros(()))


def test_the_checks_leave_the_generator_of_all_threads_alone():
    state = random.getstate()

    assert class_names(torch.optim, torch.optim.Optimizer)

    assert random.getstate() == state
