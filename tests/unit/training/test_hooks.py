"""What watches a training or adds to it: called as promised, and in the exactness contract without a change to the loop."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.contract import assert_resumes_identically, run_stages, write_rows
from unbroken.checkpoints.format import read_checkpoint
from unbroken.checkpoints.tree import Tree
from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, SplitConfig, TrainingConfig
from unbroken.errors import CheckpointMismatchError
from unbroken.models.mlp import MLP
from unbroken.run import open_run
from unbroken.serving.prediction import load_predictor
from unbroken.training.hooks import Hooks, TrainHook
from unbroken.training.state import TrainState

STEPS = 6  # 240 rows, 192 to train, 32 a batch
EPOCHS = 3


def configured(folder: Path, **training: Any) -> Config:
    return Config(
        data=DataConfig(source=write_rows(folder / "rows.parquet", "binary")),
        split=SplitConfig(validation_fraction=0.0),
        model=ModelConfig(options={"hidden": [8], "dropout": 0.2}),
        training=dataclasses.replace(TrainingConfig(epochs=EPOCHS, batch_size=32), **training),
        checkpoint=CheckpointConfig(every_steps=4),
        runs_folder=str(folder / "runs"),
    )


class Watching(TrainHook):
    """Notes every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.losses: list[float] = []
        self.entries: list[dict[str, float]] = []

    def on_start(self, state: TrainState) -> None:
        self.calls.append(("start", state.step))

    def on_step(self, state: TrainState, loss: Tensor) -> None:
        self.calls.append(("step", state.step))
        self.losses.append(loss.item())

    def on_epoch(self, state: TrainState, entry: dict[str, float]) -> None:
        self.calls.append(("epoch", state.epoch))
        self.entries.append(entry)

    def on_save(self, state: TrainState, seconds: float) -> None:
        assert seconds >= 0
        self.calls.append(("save", state.step))


class OwnAverage(TrainHook):
    """A moving average of a user's own, kept, evaluated and published."""

    name = "own average"

    def __init__(self) -> None:
        self.averages: Tree = {}

    def on_start(self, state: TrainState) -> None:
        self.averages = self.averages or {name: value.clone() for name, value in state.model.state_dict().items()}

    def on_step(self, state: TrainState, loss: Tensor) -> None:
        for name, value in state.model.state_dict().items():
            self.averages[name].lerp_(value, 0.1)

    def weights(self, state: TrainState) -> Tree:
        return self.averages

    def state_dict(self) -> Tree:
        return {"averages": self.averages}

    def load_state_dict(self, kept: Tree, weights: Tree) -> None:
        self.averages = kept["averages"]


class Remembering(TrainHook):
    """Counts the steps of a training over all its starts, and publishes nothing."""

    name = "counter"

    def __init__(self) -> None:
        self.steps = 0

    def on_step(self, state: TrainState, loss: Tensor) -> None:
        self.steps += 1

    def state_dict(self) -> Tree:
        return {"steps": self.steps}

    def load_state_dict(self, kept: Tree, weights: Tree) -> None:
        self.steps = kept["steps"]


def test_a_hook_is_called_at_the_start_after_each_step_and_epoch_and_at_each_save(tmp_path: Path):
    watching = Watching()

    restored = run_stages(configured(tmp_path, epochs=1), [watching])

    steps = [("step", step) for step in range(1, STEPS + 1)]
    assert watching.calls == [("start", 0), *steps[:4], ("save", 4), *steps[4:], ("epoch", 1), ("save", 6)]
    assert sum(watching.losses) / STEPS == pytest.approx(watching.entries[0]["loss"], rel=1e-6)
    assert watching.entries == read_checkpoint(Path(restored.path))["history"]


def test_a_hook_that_only_watches_leaves_the_bytes_as_they_are(tmp_path: Path):
    alone = run_stages(configured(tmp_path / "alone"))
    watched = run_stages(configured(tmp_path / "watched"), [Watching()])

    assert watched.digest == alone.digest


@pytest.mark.parametrize("kind", [OwnAverage, Remembering])
def test_what_a_hook_of_ones_own_remembers_is_in_the_contract(kind: Callable[[], TrainHook], tmp_path: Path):
    stops = (2, STEPS - 1, STEPS + 3, 5)

    assert_resumes_identically(configured(tmp_path), stops, tmp_path, lambda: [kind()])


def test_a_counter_goes_on_where_it_was(tmp_path: Path):
    config = configured(tmp_path)
    run_stages(dataclasses.replace(config, training=dataclasses.replace(config.training, epochs=1)), [Remembering()])
    counter = Remembering()

    run_stages(config, [counter])

    assert counter.steps == EPOCHS * STEPS


def test_the_average_is_evaluated_published_and_predicted_with(tmp_path: Path):
    restored = run_stages(configured(tmp_path), [average := OwnAverage()])

    tree = read_checkpoint(Path(restored.path))
    model = load_predictor(restored.path).model
    for name, value in model.state_dict().items():
        assert torch.equal(value, average.averages[name])
        assert not torch.equal(value, tree["trained_state_dict"][name])


@pytest.mark.parametrize(("first", "second"), [(OwnAverage, None), (None, OwnAverage), (OwnAverage, Remembering)])
def test_a_run_is_resumed_only_with_the_hooks_it_was_trained_with(
    first: Callable[[], TrainHook] | None, second: Callable[[], TrainHook] | None, tmp_path: Path
):
    config = configured(tmp_path)
    shorter = dataclasses.replace(config, training=dataclasses.replace(config.training, epochs=1))
    run_stages(shorter, [first()] if first else [])

    with pytest.raises(CheckpointMismatchError, match=r"hooks: found .*, expected .*\. Train with the hooks"):
        run_stages(config, [second()] if second else [])


def test_two_hooks_that_publish_are_refused():
    with pytest.raises(ValueError, match="found OwnAverage, OwnAverage that give weights to publish"):
        Hooks([OwnAverage(), OwnAverage()])


def test_the_configured_average_follows_each_step_less_and_less(tmp_path: Path):
    restored = run_stages(configured(tmp_path, ema_decay=0.9), [watching := Weights()])

    tree = read_checkpoint(Path(restored.path))
    expected = watching.weights_of_steps[0]
    for step, weights in enumerate(watching.weights_of_steps[1:], start=1):
        decay = min(0.9, (1 + step) / (10 + step))
        expected = {name: decay * value + (1 - decay) * weights[name] for name, value in expected.items()}
    for name, value in tree["model_state_dict"].items():
        torch.testing.assert_close(value.double(), expected[name])
        assert torch.equal(tree["trained_state_dict"][name], watching.weights_of_steps[-1][name].float())
    assert tree["config"]["training"]["ema_decay"] == 0.9


class Weights(TrainHook):
    """Keeps the weights of each step, and those before the first."""

    def __init__(self) -> None:
        self.weights_of_steps: list[Tree] = []

    def on_start(self, state: TrainState) -> None:
        self.weights_of_steps.append({name: value.double() for name, value in state.model.state_dict().items()})

    def on_step(self, state: TrainState, loss: Tensor) -> None:
        self.on_start(state)


NEW_SETTINGS: dict[str, Any] = {"accumulate": 2, "precision": "bfloat16", "ema_decay": 0.9}


@pytest.mark.parametrize("name", NEW_SETTINGS)
def test_a_newer_setting_counts_to_the_run_unless_it_stands_at_its_default(name: str, tmp_path: Path):
    plain = configured(tmp_path)
    default = configured(tmp_path, **{name: getattr(TrainingConfig(), name)})
    changed = configured(tmp_path, **{name: NEW_SETTINGS[name]})

    assert open_run(default).key == open_run(plain).key
    assert open_run(changed).key != open_run(plain).key


class Changing(TrainHook):
    """Changes the model and the optimizer at some steps, by the number of the step alone, as a gradual unfreezing does."""

    def __init__(self, thaw: int) -> None:
        self.thaw = thaw

    def on_start(self, state: TrainState) -> None:
        self._freeze(state)

    def on_step(self, state: TrainState, loss: Tensor) -> None:
        self._freeze(state)

    def _freeze(self, state: TrainState) -> None:
        assert isinstance(state.model, MLP)
        state.model.layers[0].requires_grad_(state.step >= self.thaw)


class Clearing(TrainHook):
    """Clears the gradients after each step, and the optimizer's memory after each third, in ways that leave new objects."""

    def on_step(self, state: TrainState, loss: Tensor) -> None:
        state.model.zero_grad()
        if state.step % 3 == 0:
            state.optimizer.load_state_dict(state.optimizer.state_dict())


class Frozen(TrainHook):
    """Freezes the first layer for good."""

    def on_start(self, state: TrainState) -> None:
        assert isinstance(state.model, MLP)
        state.model.layers[0].requires_grad_(False)


@pytest.mark.parametrize("thaw", [3, STEPS + 2])
def test_a_hook_that_unfreezes_a_layer_in_the_middle_of_an_epoch_resumes_identically(thaw: int, tmp_path: Path):
    assert_resumes_identically(configured(tmp_path), [2, thaw + 1, 5], tmp_path, lambda: [Changing(thaw)])


def test_a_hook_that_freezes_a_layer_keeps_its_weights(tmp_path: Path):
    config = configured(tmp_path, epochs=2)
    frozen, free = (
        run_stages(config, [Frozen()]),
        run_stages(dataclasses.replace(config, runs_folder=str(tmp_path / "free"))),
    )

    first, last = "layers.0.weight", "layers.3.weight"
    still = dataclasses.replace(config.training, optimizer="SGD", learning_rate=1e-30)
    started = run_stages(dataclasses.replace(config, training=still))
    weights, others, drawn = (read_checkpoint(Path(run.path))["model_state_dict"] for run in (frozen, free, started))

    assert torch.equal(weights[first], drawn[first])
    assert not torch.equal(weights[last], drawn[last])
    assert not torch.equal(others[first], drawn[first])


def test_a_hook_that_leaves_new_gradients_and_state_changes_no_bit(tmp_path: Path):
    config = configured(tmp_path)

    plain = run_stages(config)
    cleared = run_stages(dataclasses.replace(config, runs_folder=str(tmp_path / "cleared")), [Clearing()])

    assert Path(cleared.path).read_bytes() == Path(plain.path).read_bytes()
