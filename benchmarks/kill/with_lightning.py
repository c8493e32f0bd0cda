"""The task in Lightning: ModelCheckpoint with `save_last`, and `ckpt_path="last"`, which begins anew where there is none."""

from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor
from torch.nn import functional

from benchmarks.kill import task
from benchmarks.kill.task import Job


class Module(lightning.LightningModule):
    """The network with its loss and its optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.model = task.network()

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Return the loss of a batch."""
        numbers, labels = batch
        return functional.binary_cross_entropy_with_logits(self.model(numbers), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=task.LEARNING_RATE)


class Notes(Callback):
    """Writes down each step; the last of the callbacks, so that a save of this step comes first."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def on_train_batch_end(self, trainer: Any, _: Any, outputs: Any, *__: Any) -> None:
        """Write it down."""
        self.job.note(trainer.global_step, outputs["loss"].item())


def main(job: Job) -> None:
    """Train, and print the digest of the weights."""
    lightning.seed_everything(task.SEED, verbose=False)
    saves = [ModelCheckpoint(dirpath=job.folder, filename="epoch-{epoch}", save_last=True)]
    if job.every_steps:
        saves = [ModelCheckpoint(dirpath=job.folder, save_last=True, every_n_train_steps=job.every_steps)]
    trainer = lightning.Trainer(
        max_epochs=task.EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Notes(job), *saves],
    )
    module = Module()
    trainer.fit(module, task.loader(), ckpt_path="last")
    print(task.digest(module.model))


if __name__ == "__main__":
    main(Job.of_arguments())
