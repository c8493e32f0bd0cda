"""The task in skorch: Checkpoint and LoadInitState, as its documentation has them; it saves at the end of an epoch."""

from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, Checkpoint, LoadInitState
from torch import nn

from benchmarks.kill import task
from benchmarks.kill.task import Job


class Notes(Callback):
    """Writes down each step."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def on_batch_end(self, net: NeuralNet, training: bool = True, **_: Any) -> None:
        """Write it down."""
        if training:
            batches = net.history[-1]["batches"]
            self.job.note((len(net.history) - 1) * task.STEPS + len(batches), batches[-1]["train_loss"])


def main(job: Job) -> None:
    """Train, and print the digest of the weights."""
    torch.manual_seed(task.SEED)
    checkpoint = Checkpoint(dirname=str(job.folder), monitor=None)
    net = NeuralNet(
        task.network,
        criterion=nn.BCEWithLogitsLoss,
        optimizer=torch.optim.Adam,
        lr=task.LEARNING_RATE,
        batch_size=task.BATCH_SIZE,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
        callbacks=[Notes(job), checkpoint, LoadInitState(checkpoint)],
    )
    numbers, labels = task.rows()
    net.initialize()
    history = job.folder / "history.json"
    done = 0
    if history.exists():
        net.load_params(f_history=history)
        done = len(net.history)
    net.set_params(max_epochs=task.EPOCHS - done)  # it trains so many epochs more
    net.fit(numbers.numpy(), labels.numpy())
    print(task.digest(net.module_))


if __name__ == "__main__":
    main(Job.of_arguments())
