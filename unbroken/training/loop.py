"""The epochs from a start of the process to its end: step, evaluate, save."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unbroken.batches.epoch import epoch_batches
from unbroken.batches.rows import Rows
from unbroken.checkpoints.background import BackgroundWriter
from unbroken.checkpoints.history import best_epoch, is_finished
from unbroken.checkpoints.interval import best_interval
from unbroken.checkpoints.store import CheckpointStore, Entry
from unbroken.checkpoints.tree import Buffers
from unbroken.config.metrics import why_undefined
from unbroken.errors import TrainingError
from unbroken.models.unchanged import is_unchanged_mlp
from unbroken.optimization.fused_adam import FusedAdamUpdater
from unbroken.optimization.gradient import Gradient, gradient_of
from unbroken.optimization.optimizer import updater_of
from unbroken.optimization.scheduler import step_epoch, steps_each_batch
from unbroken.parallel.agreement import require_same_state
from unbroken.parallel.group import Alone, Group, Requests
from unbroken.parallel.micro_batches import MicroBatchGradient
from unbroken.reproducibility.generators import seed_epoch, seed_micro_batch, seed_shared
from unbroken.storage.journal import Journal
from unbroken.training.hooks import Hooks
from unbroken.training.inputs import TrainingInputs
from unbroken.training.progress import Progress, Report
from unbroken.training.signals import StopRequest
from unbroken.training.state import TrainState

log = logging.getLogger(__name__)

LOSS_STEPS = 64
"""Steps between two looks at the losses and two reports of progress: each look costs as much as a few steps."""


@dataclass(slots=True)
class TrainLoop:
    """Takes a training from its state to its end; hooks watch it and add to it."""

    inputs: TrainingInputs
    state: TrainState
    store: CheckpointStore
    journal: Journal
    writer: BackgroundWriter
    stop: StopRequest
    report: Report = lambda _: None
    hooks: Hooks = field(default_factory=Hooks)
    group: Group = field(default_factory=Alone)
    gradient: Gradient = field(init=False)
    own_model: bool = field(init=False)
    """Whether any code of the model is the user's, which may draw from any generator."""
    update: Callable[[], object] = field(init=False)
    buffers: Buffers = field(default_factory=Buffers)
    saved: Entry | None = None
    """The newest checkpoint that this loop has made durable."""
    saved_at: float = field(default_factory=time.monotonic)
    cost: float | None = None
    """Seconds that the last save took from the snapshot to the durable file."""

    def __post_init__(self) -> None:
        self.own_model = not is_unchanged_mlp(self.state.model)
        self.gradient = self._fastest_gradient()
        self.update = updater_of(self.state.optimizer)

    def run(self) -> None:
        """Train until the run is finished or asked to stop.

        Raises:
            TrainingError: The loss became NaN or infinite.
            OSError: A checkpoint could not be saved, twice.
        """
        self.hooks.start(self.state)
        while not is_finished(self.state.history, self.inputs.config.chosen) and not self._is_stopping():
            self._train_epoch()
        if self._is_stopping() and self.group.size > 1:
            self.stop.signal = self.group.requests.signal  # whichever rank was told

    def batches(self) -> Iterator[Rows]:
        """Yield what is left of the epoch, prepared for `step`."""
        first = self.state.step - self.state.epoch * self.inputs.steps
        while first < self.inputs.steps:
            gradient = self.gradient
            for batch in self._batches_from(first, gradient):
                first += 1
                yield batch
                if self.gradient is not gradient:  # what comes next was prepared for another one
                    break

    def step(self, batch: Rows) -> Float[Tensor, ""]:
        """Update the weights by one batch of `batches` and return its mean loss."""
        state, clip = self.state, self.inputs.config.training.gradient_clip
        if self.own_model:
            seed_shared(self.inputs.config.training.seed, "step", state.step)
        if self.group.size > 1:
            self.group.requests = Requests(self.stop.signal or 0, self.group.first and self._time_is_up())
        loss = self.gradient(batch)
        if clip is not None:
            nn.utils.clip_grad_norm_(state.model.parameters(), clip)
        self.update()
        if state.scheduler is not None and steps_each_batch(state.scheduler):
            state.scheduler.step()
        state.step += 1
        for on_step in self.hooks.on_step:
            on_step(state, loss)
        if self.hooks.changes_steps:
            self._choose_anew()
        return loss

    def save(self, *, inside_epoch: bool, **details: float) -> None:
        """Take a snapshot and have it saved in the background.

        Args:
            inside_epoch: Whether the epoch goes on; then a save that fails is made up for by the next.
            details: What the journal says of it.
        """
        started, state = time.monotonic(), self.state
        if self.group.size > 1:
            self.writer.settle()  # however long that takes, the others wait for rank 0 here
            self.group.meet()
            require_same_state(self.group, state.decided(), state.step)
        if self.group.first:
            self._save(inside_epoch=inside_epoch, **details)
        self.hooks.saved(state, time.monotonic() - started)
        if self.hooks.changes_steps:
            self._choose_anew()

    def _save(self, *, inside_epoch: bool, **details: float) -> None:
        state = self.state
        self.writer.settle()  # it writes from the buffers that the snapshot is about to use again
        self.saved_at = time.monotonic()
        tree = self.inputs.header | state.snapshot(self.buffers, self.hooks.kept(state))
        best = best_epoch(state.history, self.inputs.config.chosen.monitor)

        def write() -> None:
            entry = self.store.save(tree, inside_epoch=inside_epoch, best_epoch=best)
            self.saved, self.cost = entry, time.monotonic() - self.saved_at
            event = {"epoch": entry.epoch, "step": entry.step, **details, "checkpoint": entry.path.name}
            self.journal.append("checkpoint saved", **event)
            log.info("%s: checkpoint saved%s", entry.describe(), "" if inside_epoch else _words(tree["history"][-1]))

        self.writer.submit(write, required=not inside_epoch)

    def _choose_anew(self) -> None:
        """Take the fastest ways that hold for the model and the optimizer as they are now: a hook may have changed both."""
        own_model = not is_unchanged_mlp(self.state.model)
        if own_model != self.own_model or not self.gradient.fits():
            self.own_model, self.gradient = own_model, self._fastest_gradient()
        if not (isinstance(self.update, FusedAdamUpdater) and self.update.fits()):
            self.update = updater_of(self.state.optimizer)

    def _fastest_gradient(self) -> Gradient:
        inputs, model, training = self.inputs, self.state.model, self.inputs.config.training
        gradient = gradient_of(model, inputs.features.task, inputs.class_weights, training)
        if training.micro_batches == 1:
            return gradient
        return MicroBatchGradient(gradient, model, training.micro_batches, self._seed_micro_batch, self.group)

    def _seed_micro_batch(self, micro_batch: int) -> None:
        seed, device = self.inputs.config.training.seed, self.state.loss_sum.device
        seed_micro_batch(seed, self.state.step, micro_batch, device, shared=self.own_model)

    def _batches_from(self, first: int, gradient: Gradient) -> Iterator[Rows]:
        training = self.inputs.config.training
        return epoch_batches(
            self.inputs.train,
            training.step_rows,
            training.seed,
            self.state.epoch,
            first,
            gradient.prepare,
            training.shuffle_rows,
        )

    def _train_epoch(self) -> None:
        state, steps, started = self.state, self.inputs.steps, time.monotonic()
        first = state.step - state.epoch * steps
        if first == 0:
            seed_epoch(self.inputs.config.training.seed, state.epoch, state.loss_sum.device)
        state.model.train()
        self._choose_anew()
        losses: list[Tensor] = []
        for step, batch in enumerate(self.batches(), start=first + 1):
            losses.append(self.step(batch))
            due = step < steps and self._save_is_due()
            if due or len(losses) == LOSS_STEPS or step == steps:
                self._add_losses(losses, step)
            if due:
                self.save(inside_epoch=True)
            if due and self._is_stopping():
                return
        self._finish_epoch(time.monotonic() - started, steps - first)

    def _add_losses(self, losses: list[Tensor], step: int) -> None:
        """Add the losses of the last steps to the sum, and report; stop a training that diverged, before any of it is saved."""
        values = torch.stack(losses).tolist()
        losses.clear()
        first = step - len(values)
        bad = next((index for index, value in enumerate(values) if not math.isfinite(value)), None)
        if bad is not None:
            raise self._diverged(values[bad], first + bad + 1)
        rows, size = len(self.inputs.train), self.inputs.config.training.step_rows
        # One by one in the order of the steps: the sum is the same wherever a look falls.
        total = self.state.loss_sum.item()
        for index, value in enumerate(values, start=first):
            total += value * min(size, rows - index * size)
        self.state.loss_sum.fill_(total)
        seen = min(step * size, rows)
        self.report(
            Progress(
                epoch=self.state.epoch + 1,
                epochs=self.inputs.config.chosen.epochs,
                step=step,
                steps=self.inputs.steps,
                rows=seen,
                total_rows=rows,
                loss=total / seen,
            )
        )

    def _diverged(self, loss: float, step: int) -> TrainingError:
        entries = self.store.entries()
        return TrainingError(
            f"{self.inputs.run.folder}: the loss became {loss} in epoch {self.state.epoch + 1}, step {step}; expected a "
            f"finite number. Kept is the checkpoint of {entries[0].describe() if entries else 'no epoch yet'}. "
            f"Lower training.learning_rate, or set training.gradient_clip"
        )

    def _is_stopping(self) -> bool:
        """Tell whether a signal asks to stop; with several ranks, whether all of them have been told in the same step."""
        return self.stop.signal is not None if self.group.size == 1 else self.group.requests.signal > 0

    def _save_is_due(self) -> bool:
        every_steps = self.inputs.config.checkpoint.every_steps
        by_steps = every_steps is not None and self.state.step % every_steps == 0
        by_time = self._time_is_up() if self.group.size == 1 else self.group.requests.save > 0
        return by_steps or by_time or self._is_stopping()

    def _time_is_up(self) -> bool:
        settings = self.inputs.config.checkpoint
        interval = settings.every_seconds
        if interval == "auto":
            interval = best_interval(self.cost, settings.hours_between_failures * 3600)
        return interval is not None and time.monotonic() - self.saved_at >= interval

    def _finish_epoch(self, seconds: float, steps: int) -> None:
        state, training = self.state, self.inputs.config.training
        metrics = self.group.from_first(self._evaluate, dict[str, float])
        if training.micro_batches > 1:  # what rank 0 alone has drawn, no other has
            self._seed_micro_batch(training.micro_batches)
        entry = {
            "epoch": state.epoch + 1,
            "learning_rate": float(state.optimizer.param_groups[0]["lr"]),
            "loss": state.loss_sum.item() / len(self.inputs.train),
            **metrics,
        }
        self._warn_of_undefined(entry)
        monitor = self.inputs.config.chosen.monitor
        step_epoch(state.scheduler, entry[monitor] if monitor else math.nan)
        state.history.append(entry)
        state.epoch += 1
        state.loss_sum.zero_()
        self.hooks.end_epoch(state, entry)
        rate = steps * training.step_rows / seconds
        self.save(inside_epoch=False, seconds=round(seconds, 3), rows_per_second=round(rate), **entry)

    def _evaluate(self) -> dict[str, float]:
        with self.hooks.published(self.state) as model:
            return self.inputs.evaluate(model)

    def _warn_of_undefined(self, entry: dict[str, float]) -> None:
        """Say, in the first epoch of a run where it is so, that the monitored metric is no number to compare."""
        monitor = self.inputs.config.chosen.monitor
        if (
            monitor is None
            or math.isfinite(entry[monitor])
            or any(not math.isfinite(past[monitor]) for past in self.state.history)
        ):
            return
        log.warning(
            "training.monitor %s: found %s in epoch %d: %s. Such epochs count neither as better nor as worse: not for the best "
            "epoch, training.patience or ReduceLROnPlateau. Monitor another metric, or hold more rows out",
            monitor,
            entry[monitor],
            entry["epoch"],
            why_undefined(monitor),
        )


def _words(entry: dict[str, float]) -> str:
    return "".join(f", {name} {value:.4f}" for name, value in entry.items() if name not in {"epoch", "learning_rate"})
