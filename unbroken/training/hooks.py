"""What watches a training, or adds to it, without a change to the loop."""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from unbroken.checkpoints.compatibility import check_weights
from unbroken.checkpoints.tree import Tree
from unbroken.errors import CheckpointMismatchError
from unbroken.training.state import TrainState

NOT_TAKEN_UP = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError)
"""What a hook may raise of a memory that is not its own."""


class TrainHook:
    """Watches a training, or adds to it: override what you need, nothing else is called.

    A hook that remembers something from step to step gives itself a `name` and its memory by `state_dict`; then a
    training that was stopped anywhere goes on with it. What a hook does to the weights or draws at random must follow
    from the state alone, or the bytes of a resumed run differ.
    """

    name: ClassVar[str] = ""
    """What its memory is called in a checkpoint; empty for a hook that only watches."""
    reads_only: ClassVar[bool] = False
    """Whether it leaves the model and the optimizer as they are; if not, both are looked at anew after each step."""

    def on_start(self, state: TrainState) -> None:
        """Called once in a process, before its first step; a resumed state is whole by then."""

    def on_step(self, state: TrainState, loss: Tensor) -> None:
        """Called after the update of each step.

        Args:
            state: The training after the step; `state.step` counts it.
            loss: The mean loss of the step's rows, a scalar.
        """

    def on_epoch(self, state: TrainState, entry: dict[str, float]) -> None:
        """Called at the end of an epoch, before it is saved.

        Args:
            state: The training; `state.epoch` counts the epoch.
            entry: What the history says of it: `epoch`, `learning_rate`, `loss`, and each metric, such as `test_loss`.
        """

    def on_save(self, state: TrainState, seconds: float) -> None:
        """Called when a checkpoint was handed to the background.

        Args:
            state: What was saved.
            seconds: How long the training stood still for it.
        """

    def weights(self, state: TrainState) -> Tree | None:
        """Return what to evaluate and publish in place of the model's own `state_dict`; None to leave it."""

    def state_dict(self) -> Tree:
        """Return what a checkpoint keeps under the hook's name: tensors and plain values."""
        return {}

    def load_state_dict(self, kept: Tree, weights: Tree) -> None:
        """Take up the memory of a checkpoint, before `on_start`.

        Args:
            kept: What `state_dict` gave; what belongs in it only the hook knows, and may refuse by a ValueError.
            weights: What was published, such as what `weights` gave.
        """


class Hooks:
    """The hooks of a training as one; those that override nothing of a kind cost it nothing."""

    def __init__(self, hooks: Iterable[TrainHook] = ()) -> None:
        self.hooks = tuple(hooks)
        self.on_step: tuple[Callable[[TrainState, Tensor], None], ...] = tuple(
            hook.on_step for hook in self.hooks if type(hook).on_step is not TrainHook.on_step
        )
        self.changes_steps = any(
            not hook.reads_only
            and (type(hook).on_step is not TrainHook.on_step or type(hook).on_save is not TrainHook.on_save)
            for hook in self.hooks
        )
        self.named = {hook.name: hook for hook in self.hooks if hook.name}
        publishing = [hook for hook in self.hooks if type(hook).weights is not TrainHook.weights]
        if len(publishing) > 1 or any(not hook.name for hook in publishing):
            kinds = ", ".join(type(hook).__name__ for hook in publishing)
            raise ValueError(
                f"hooks: found {kinds} that give weights to publish, expected at most one, and with a name"
            )
        self.publishing = publishing[0] if publishing else None

    def start(self, state: TrainState) -> None:
        """Tell all that the training begins."""
        for hook in self.hooks:
            hook.on_start(state)

    def end_epoch(self, state: TrainState, entry: dict[str, float]) -> None:
        """Tell all that an epoch ended."""
        for hook in self.hooks:
            hook.on_epoch(state, entry)

    def saved(self, state: TrainState, seconds: float) -> None:
        """Tell all that a checkpoint was taken."""
        for hook in self.hooks:
            hook.on_save(state, seconds)

    def kept(self, state: TrainState) -> Tree:
        """Return what the hooks change in a checkpoint, and add to it: nothing, if none has a name or weights."""
        kept: Tree = {"hooks": {name: hook.state_dict() for name, hook in self.named.items()}} if self.named else {}
        if (published := self._published(state)) is not None:
            kept |= {"model_state_dict": published, "trained_state_dict": state.model.state_dict()}
        return kept

    def restore(self, state: TrainState, tree: Tree, path: Path) -> None:
        """Give each hook its memory, and the model the weights to train on with; raise CheckpointMismatchError."""
        kept = tree.get("hooks", {})
        if sorted(kept) != sorted(self.named):
            raise CheckpointMismatchError(
                f"{path}: hooks: found {', '.join(kept) or 'none'}, expected {', '.join(self.named) or 'none'}. "
                f"Train with the hooks it was trained with"
            )
        trained = tree.get("trained_state_dict", {})
        if self.publishing:
            check_weights(trained, state.model, f"{path}: trained_state_dict")
        for name, hook in self.named.items():
            try:
                hook.load_state_dict(kept[name], tree["model_state_dict"])
            except NOT_TAKEN_UP as error:
                raise CheckpointMismatchError(
                    f"{path}: hooks.{name}: {type(hook).__name__} cannot take up what it kept: {error!r}"
                ) from error
        if self.publishing:
            state.model.load_state_dict(trained)

    @contextmanager
    def published(self, state: TrainState) -> Generator[nn.Module]:
        """Lend the model with the weights that are published."""
        published = self._published(state)
        if published is None:
            yield state.model
            return
        trained = {name: value.clone() for name, value in state.model.state_dict().items()}
        state.model.load_state_dict(published)
        yield state.model
        state.model.load_state_dict(trained)

    def _published(self, state: TrainState) -> Tree | None:
        return self.publishing.weights(state) if self.publishing else None
