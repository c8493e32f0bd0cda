"""The epochs of one attempt: step, evaluate, save."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from unbroken.batches.epoch import epoch_batches
from unbroken.batches.rows import Rows
from unbroken.checkpoints.background import BackgroundWriter
from unbroken.checkpoints.history import best_epoch, is_finished
from unbroken.checkpoints.interval import best_interval
from unbroken.checkpoints.store import CheckpointStore
from unbroken.checkpoints.tree import Buffers, Tree
from unbroken.errors import TrainingError
from unbroken.optimization.gradient import Gradient, gradient_of
from unbroken.optimization.mlp_gradient import MLPGradient
from unbroken.optimization.optimizer import updater_of
from unbroken.optimization.scheduler import step_epoch, steps_each_batch
from unbroken.storage.journal import Journal
from unbroken.training.generators import python_was_drawn_from, seed_epoch, seed_shared
from unbroken.training.inputs import TrainingInputs
from unbroken.training.progress import Progress, Report
from unbroken.training.signals import StopRequest
from unbroken.training.state import TrainState

log = logging.getLogger(__name__)

REPORT_STEPS = 64
"""Steps between two looks at the losses and two reports of progress: each look costs as much as a few steps."""


@dataclass(slots=True)
class TrainLoop:
    """The epochs of one attempt."""

    setup: TrainingInputs
    state: TrainState
    store: CheckpointStore
    journal: Journal
    saver: BackgroundWriter
    stop: StopRequest
    report: Report
    gradient: Gradient = field(init=False)
    own_model: bool = field(init=False)
    """Whether the code of the model is the user's, which may draw from any generator."""
    update: Callable[[], object] = field(init=False)
    about: Tree = field(init=False)
    buffers: Buffers = field(default_factory=Buffers)
    saved_at: float = 0.0
    cost: float | None = None
    """Seconds that the last save took from the snapshot to the durable file."""

    def __post_init__(self) -> None:
        self.about = self.setup.about()
        self.gradient = gradient_of(self.state.model, self.setup.features.task, self.setup.class_weights)
        self.own_model = not isinstance(self.gradient, MLPGradient)
        self.update = updater_of(self.state.optimizer)

    def run(self) -> None:
        """Train until the run is finished or asked to stop."""
        self.saved_at = time.monotonic()
        while not is_finished(self.state.history, self.setup.config.training) and self.stop.signal is None:
            self._epoch()

    def _epoch(self) -> None:
        state, training, started = self.state, self.setup.config.training, time.monotonic()
        first = state.step - state.epoch * self.setup.steps
        if first == 0:
            seed_epoch(training.seed, state.epoch, state.loss_sum.device)
        state.model.train()
        losses: list[Tensor] = []
        rows, prepare = self.setup.train, self.gradient.prepare
        batches = epoch_batches(
            rows, training.batch_size, training.seed, state.epoch, first, prepare, training.shuffle_rows
        )
        for step, batch in enumerate(batches, start=first + 1):
            losses.append(self._step(batch))
            due = step < self.setup.steps and self._save_is_due()
            if due or len(losses) == REPORT_STEPS or step == self.setup.steps:
                self._look(losses, step)
            if due:
                self._save(inside_epoch=True)
            if due and self.stop.signal is not None:
                return
        self._finish_epoch(time.monotonic() - started, self.setup.steps - first)

    def _step(self, batch: Rows) -> Tensor:
        state, clip = self.state, self.setup.config.training.gradient_clip
        loss = self._own_gradient(batch) if self.own_model else self.gradient(batch)
        if clip is not None:
            nn.utils.clip_grad_norm_(state.model.parameters(), clip)
        self.update()
        if state.scheduler is not None and steps_each_batch(state.scheduler):
            state.scheduler.step()
        state.step += 1
        return loss

    def _own_gradient(self, batch: Rows) -> Tensor:
        purpose = self.setup.config.training.seed, "step", self.state.step
        seed_shared(*purpose)
        loss = self.gradient(batch)
        if self.state.step == 0 and python_was_drawn_from(*purpose):
            log.warning(
                "model.factory %s: draws from Python's `random`, as other threads of the process do, so the last bits may "
                "depend on the moment; draw from torch instead",
                self.setup.config.model.factory,
            )
        return loss

    def _look(self, losses: list[Tensor], step: int) -> None:
        """Add up the losses since the last look; stop a training that diverged, before anything of it is saved."""
        values = torch.stack(losses).tolist()
        place = next((place for place, value in enumerate(values) if not math.isfinite(value)), None)
        if place is not None:
            kept = self.store.entries()
            raise TrainingError(
                f"{self.setup.run.folder}: the loss became {values[place]} in epoch {self.state.epoch + 1}, "
                f"step {step - len(losses) + place + 1}; expected a finite number. "
                f"Kept is the checkpoint of {kept[0].describe() if kept else 'no epoch yet'}. "
                f"Lower training.learning_rate, or set training.gradient_clip"
            )
        losses.clear()
        training, total = self.setup.config.training, len(self.setup.train)
        self._add_up(values, total - (step - len(values)) * training.batch_size)
        self.report(
            Progress(
                epoch=self.state.epoch + 1,
                epochs=training.epochs,
                step=step,
                steps=self.setup.steps,
                rows=min(step * training.batch_size, total),
                total_rows=total,
            )
        )

    def _add_up(self, values: list[float], rows_left: int) -> None:
        # One by one in the order of the steps: the sum is the same wherever a look falls.
        total, size = self.state.loss_sum.item(), self.setup.config.training.batch_size
        for place, value in enumerate(values):
            total += value * min(size, rows_left - place * size)
        self.state.loss_sum.fill_(total)

    def _save_is_due(self) -> bool:
        settings = self.setup.config.checkpoint
        by_steps = settings.every_steps is not None and self.state.step % settings.every_steps == 0
        interval = settings.every_seconds
        if interval == "auto":
            interval = best_interval(self.cost, settings.hours_between_failures * 3600)
        by_time = interval is not None and time.monotonic() - self.saved_at >= interval
        return by_steps or by_time or self.stop.signal is not None

    def _finish_epoch(self, seconds: float, steps: int) -> None:
        state, training = self.state, self.setup.config.training
        entry = {
            "epoch": state.epoch + 1,
            "learning_rate": float(state.optimizer.param_groups[0]["lr"]),
            "loss": state.loss_sum.item() / len(self.setup.train),
            **self.setup.evaluate(state.model),
        }
        step_epoch(state.scheduler, entry[training.monitor])
        state.history.append(entry)
        state.epoch += 1
        state.loss_sum.zero_()
        rate = steps * training.batch_size / seconds
        self._save(inside_epoch=False, seconds=round(seconds, 3), rows_per_second=round(rate), **entry)

    def _save(self, *, inside_epoch: bool, **journaled: float) -> None:
        state = self.state
        self.saver.settle()  # it writes from the buffers that the snapshot is about to use again
        self.saved_at = time.monotonic()
        tree = self.about | state.snapshot(self.buffers)
        best = best_epoch(state.history, self.setup.config.training.monitor)

        def write() -> None:
            entry = self.store.save(tree, inside_epoch=inside_epoch, best_epoch=best)
            self.cost = time.monotonic() - self.saved_at
            details = {"epoch": entry.epoch, "step": entry.step, **journaled, "checkpoint": entry.path.name}
            self.journal.append("checkpoint saved", **details)
            log.info("%s: checkpoint saved%s", entry.describe(), "" if inside_epoch else _words(tree["history"][-1]))

        self.saver.submit(write, required=not inside_epoch)


def _words(entry: dict[str, float]) -> str:
    return "".join(f", {name} {value:.4f}" for name, value in entry.items() if name not in {"epoch", "learning_rate"})
