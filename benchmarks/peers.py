"""The same training in other frameworks: each function returns what trains one epoch and gives its rows per second."""

import itertools
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightning
import numpy as np
import torch
from accelerate import Accelerator
from lightning.pytorch.callbacks import Callback
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from skorch import NeuralNet
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.measure import Measurement, seconds

LEARNING_RATE = 3e-3


@dataclass(frozen=True)
class Task:
    """A binary classification: inputs, labels 0 and 1, hidden sizes, rows per step."""

    numbers: Tensor
    labels: Tensor
    hidden: tuple[int, ...]
    batch_size: int

    def model(self) -> nn.Sequential:
        """Return the network with random weights."""
        sizes = [self.numbers.shape[1], *self.hidden]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], 1), nn.Flatten(0))

    def loader(self) -> DataLoader[Any]:
        """Return the usual shuffled loader."""
        return DataLoader(TensorDataset(self.numbers, self.labels), batch_size=self.batch_size, shuffle=True)

    def rate(self, epoch: Callable[[], object]) -> Measurement:
        """Return what runs an epoch and gives rows per second."""
        return lambda: len(self.labels) / seconds(epoch)


def tensor_loop(task: Task, *, compiled: bool = False) -> Measurement:
    """Loop over a permuted index of tensors in memory, with fused Adam: what one writes by hand."""
    model = task.model()
    if compiled:
        model.compile()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)

    def epoch() -> None:
        for index in torch.randperm(len(task.labels)).split(task.batch_size):
            optimizer.zero_grad()
            loss = functional.binary_cross_entropy_with_logits(model(task.numbers[index]), task.labels[index])
            loss.backward()
            optimizer.step()

    return task.rate(epoch)


def loader_loop(task: Task) -> Measurement:
    """Loop over a DataLoader, as in PyTorch's tutorials."""
    model = task.model()
    optimizer, loader = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE), task.loader()

    def epoch() -> None:
        for numbers, labels in loader:
            optimizer.zero_grad()
            functional.binary_cross_entropy_with_logits(model(numbers), labels).backward()
            optimizer.step()

    return task.rate(epoch)


def accelerate_loop(task: Task) -> Measurement:
    """Loop as Accelerate's documentation shows."""
    accelerator = Accelerator(cpu=True)
    plain = task.model()
    model, optimizer, loader = accelerator.prepare(
        plain, torch.optim.Adam(plain.parameters(), lr=LEARNING_RATE), task.loader()
    )

    def epoch() -> None:
        for numbers, labels in loader:
            optimizer.zero_grad()
            accelerator.backward(functional.binary_cross_entropy_with_logits(model(numbers), labels))
            optimizer.step()

    return task.rate(epoch)


class _Module(lightning.LightningModule):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        numbers, labels = batch
        return functional.binary_cross_entropy_with_logits(self.model(numbers), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)


class _EpochSeconds(Callback):
    started = taken = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.taken = time.perf_counter() - self.started


def lightning_trainer(task: Task) -> Measurement:
    """Fit with Lightning's Trainer, all that can be turned off turned off: the rate of its second epoch."""

    def measure() -> float:
        clock = _EpochSeconds()
        trainer = lightning.Trainer(
            max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[clock],
        )  # fmt: skip
        trainer.fit(_Module(task.model()), task.loader())
        return len(task.labels) / clock.taken

    return measure


def skorch_net(task: Task) -> Measurement:
    """Fit with skorch, without its validation part."""
    net = NeuralNet(
        task.model(), criterion=nn.BCEWithLogitsLoss, optimizer=torch.optim.Adam, lr=LEARNING_RATE, max_epochs=1,
        batch_size=task.batch_size, iterator_train__shuffle=True, train_split=None, verbose=0,
    ).initialize()  # fmt: skip
    numbers, labels = task.numbers.numpy(), task.labels.numpy()
    return task.rate(lambda: net.partial_fit(numbers, labels))


def sklearn_classifier(task: Task) -> Measurement:
    """Fit scikit-learn's MLPClassifier."""
    classifier = MLPClassifier(
        task.hidden,
        batch_size=task.batch_size,
        learning_rate_init=LEARNING_RATE,
        alpha=0.0,
        max_iter=1,
        warm_start=True,
    )
    numbers, labels = task.numbers.numpy(), task.labels.numpy().astype(np.int64)
    warnings.simplefilter("ignore", ConvergenceWarning)
    return task.rate(lambda: classifier.fit(numbers, labels))
