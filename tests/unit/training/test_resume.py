"""The contract, for every kind of training."""

import pickle
import random
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
import torch
import torch._dynamo.utils

from tests.contract import assert_equal_checkpoints, assert_resumes_identically, run_stages, stopping_after, write_rows
from tests.unit.presets import NEW
from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, SplitConfig, TrainingConfig
from unbroken.errors import ConfigError, TrainingError
from unbroken.reproducibility.determinism import reproducible
from unbroken.run import open_run
from unbroken.storage.journal import Journal

STEPS = 6  # 240 rows, 192 to train, 32 a batch
STOPS = (1, STEPS, STEPS + 2, 3 * STEPS + 1)

EVERYTHING = {
    "batch_size": 16,
    "accumulate": 2,
    "class_weights": "balanced",
    "ema_decay": 0.9,
    "gradient_clip": 0.5,
    "precision": "bfloat16",
}

SMALL_MLP = ModelConfig(options={"hidden": [8, 8], "dropout": 0.2})


def configured(folder: Path, label: str = "binary", **sections: Any) -> Config:
    training = sections.pop("training", {})
    return Config(
        data=DataConfig(source=write_rows(folder / f"{label}.parquet", label)),
        model=sections.pop("model", SMALL_MLP),
        training=replace(TrainingConfig(epochs=5, batch_size=32), **training),
        runs_folder=str(folder / "runs"),
        **sections,
    )


KINDS: dict[str, dict[str, Any]] = {
    "the default MLP with dropout": {},
    "multiclass": {"label": "multiclass"},
    "regression": {"label": "regression"},
    "SGD with momentum": {"training": {"optimizer": "SGD", "optimizer_options": {"momentum": 0.9}}},
    "AdamW and OneCycleLR": {"training": {"optimizer": "AdamW", "scheduler": "OneCycleLR"}},
    "SGD under OneCycleLR, which gives it a momentum": {"training": {"optimizer": "SGD", "scheduler": "OneCycleLR"}},
    "RMSprop under CyclicLR, which gives it a momentum": {
        "training": {
            "optimizer": "RMSprop",
            "scheduler": "CyclicLR",
            "scheduler_options": {"base_lr": 1e-4, "max_lr": 1e-2},
        }
    },
    "Adafactor, whose moments have shapes of their own": {"training": {"optimizer": "Adafactor"}},
    "CosineAnnealingLR": {"training": {"scheduler": "CosineAnnealingLR"}},
    "ReduceLROnPlateau": {"training": {"scheduler": "ReduceLROnPlateau", "scheduler_options": {"patience": 0}}},
    "balanced classes and a clipped gradient": {"training": {"class_weights": "balanced", "gradient_clip": 0.5}},
    "an ensemble": {"training": EVERYTHING | {"members": 3}},
    "an ensemble of tabms": {"model": NEW["tabm"], "training": {"members": 2}, "label": "multiclass"},
    **{f"a {name}": {"model": model, "label": "regression"} for name, model in NEW.items()},
    **{f"a {name} with everything on": {"model": model, "training": EVERYTHING} for name, model in NEW.items()},
    "an own model": {"model": ModelConfig(factory="tests.unit.own_model:NoisyNet", options={"width": 8})},
    "early stopping": {"training": {"patience": 1, "min_delta": 0.02, "monitor": "validation_accuracy"}},
    "accumulated gradients": {"training": {"batch_size": 11, "accumulate": 3, "class_weights": "balanced"}},
    "accumulated gradients of an own model": {
        "training": {"batch_size": 16, "accumulate": 2},
        "model": ModelConfig(factory="tests.unit.own_model:NoisyNet", options={"width": 8}),
    },
    "a changed MLP with a BatchNorm": {
        "model": ModelConfig(
            factory="tests.unit.changed_models:changed", options={"change": "added norm", "dropout": 0.2}
        )
    },
    "a changed MLP with noise from NumPy in a hook": {
        "model": ModelConfig(factory="tests.unit.changed_models:changed", options={"change": "noisy hook"})
    },
    "a changed MLP with a frozen layer": {
        "model": ModelConfig(factory="tests.unit.changed_models:changed", options={"change": "frozen layer"})
    },
    "Adam with decoupled weight decay": {
        "training": {"optimizer_options": {"decoupled_weight_decay": True, "weight_decay": 0.1}}
    },
    "Adam with amsgrad": {"training": {"optimizer_options": {"amsgrad": True}}},
    "a moving average": {"training": {"ema_decay": 0.9}},
    "a moving average of an own model": {
        "training": {"ema_decay": 0.9},
        "model": ModelConfig(factory="tests.unit.own_model:NoisyNet", options={"width": 8}),
    },
    "bfloat16": {"training": {"precision": "bfloat16"}},
    "bfloat16, accumulated and averaged": {
        "training": {"precision": "bfloat16", "batch_size": 16, "accumulate": 2, "ema_decay": 0.9}
    },
    "a validation part": {
        "split": SplitConfig(validation_fraction=0.2),
        "training": {"monitor": "validation_loss"},
        "checkpoint": CheckpointConfig(publish="best"),
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_stopped_and_started_again_ends_with_the_same_bytes(kind: str, tmp_path: Path):
    config = configured(tmp_path, **KINDS[kind])

    assert_resumes_identically(config, STOPS, tmp_path)


@pytest.mark.parametrize("every_steps", [1, 4])
@pytest.mark.parametrize(
    "kind",
    [
        "the default MLP with dropout",
        "AdamW and OneCycleLR",
        "a tabm with everything on",
        "an own model",
        "accumulated gradients of an own model",
        "a moving average of an own model",
        "bfloat16, accumulated and averaged",
    ],
)
def test_a_training_resumes_identically_from_the_middle_of_an_epoch(kind: str, every_steps: int, tmp_path: Path):
    config = configured(tmp_path, **KINDS[kind], checkpoint=CheckpointConfig(every_steps=every_steps))

    assert_resumes_identically(config, (2, STEPS - 1, STEPS + 3, 5), tmp_path)
    journal = Journal(open_run(replace(config, runs_folder=str(tmp_path / "disturbed"))).journal)
    assert any(event["event"] == "resumed" and event["step"] for event in journal.events())


@pytest.mark.slow
def test_a_training_stopped_after_every_single_step_resumes_identically(tmp_path: Path):
    config = configured(tmp_path, training={"epochs": 3}, checkpoint=CheckpointConfig(every_steps=1))

    assert_resumes_identically(config, [2] * (3 * STEPS), tmp_path)


@contextmanager
def busy_threads() -> Generator[None]:
    """Draw from the generators that all threads of a process share, as Prefect's connection for events does, and compute."""
    ended = Event()

    def draw() -> None:
        while not ended.wait(0.0001):
            random.getrandbits(32)
            np.random.random()

    def compute() -> None:
        torch.set_num_threads(2)
        while not ended.is_set():
            torch.ones(33, 33)[1:] @ torch.ones(33, 7)

    threads = [Thread(target=draw), Thread(target=compute)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings(
    "ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning"
)  # that compiler pickles a path
@pytest.mark.filterwarnings(
    r"ignore:`torch\.jit\.:DeprecationWarning"
)  # torch warns itself of what its compiler imports
@pytest.mark.parametrize("threads", [1, 2])
def test_a_compiled_model_resumes_identically(threads: int, tmp_path: Path):
    model = ModelConfig(factory="tests.unit.own_model:compiled", options={"width": 8})
    config = configured(tmp_path, model=model, training={"threads": threads, "batch_size": 36, "epochs": 3})

    torch._dynamo.reset()  # what other tests compiled counts to its limit of recompilations
    compiled = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert_resumes_identically(config, stops=(STEPS - 1, 2), folder=tmp_path)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > compiled


@pytest.mark.parametrize(
    "kind", ["the default MLP with dropout", "an own model", "accumulated gradients of an own model"]
)
def test_what_other_threads_draw_and_compute_leaves_the_bytes_as_they_are(kind: str, tmp_path: Path):
    alone = configured(tmp_path, **KINDS[kind], checkpoint=CheckpointConfig(every_steps=4))
    among_others = replace(alone, runs_folder=str(tmp_path / "among others"))

    expected = run_stages(alone)
    with busy_threads():
        with stopping_after(2 * STEPS - 3) as stop:
            run_stages(among_others, [stop])
        found = run_stages(among_others)

    assert_equal_checkpoints(Path(found.path), Path(expected.path))


def test_raising_epochs_continues_and_equals_a_run_that_had_them_from_the_start(tmp_path: Path):
    config = configured(tmp_path)
    shorter = replace(config, training=replace(config.training, epochs=2))

    run_stages(shorter)
    raised = run_stages(config)
    whole = run_stages(replace(config, runs_folder=str(tmp_path / "whole")))

    assert Path(raised.path).read_bytes() == Path(whole.path).read_bytes()
    resumed = [event for event in Journal(open_run(config).journal).events() if event["event"] == "resumed"]
    assert [event["epoch"] for event in resumed] == [2]


def test_a_schedule_shaped_by_the_number_of_epochs_makes_another_number_another_run(tmp_path: Path):
    config = configured(tmp_path, training={"scheduler": "OneCycleLR"})
    longer = replace(config, training=replace(config.training, epochs=6))
    fixed = {"scheduler": "OneCycleLR", "scheduler_options": {"total_steps": 6 * STEPS}}

    assert open_run(config).key != open_run(longer).key
    assert open_run(configured(tmp_path, training=fixed)) == open_run(
        configured(tmp_path, training=fixed | {"epochs": 6})
    )


def test_a_finished_run_trains_no_more(tmp_path: Path):
    config = configured(tmp_path)
    first = run_stages(config)
    events = Journal(open_run(config).journal).events()

    again = run_stages(config)

    assert again == first
    assert Journal(open_run(config).journal).events() == events


def test_fewer_epochs_than_are_done_are_refused(tmp_path: Path):
    config = configured(tmp_path)
    run_stages(config)

    with pytest.raises(ConfigError, match=r"training\.epochs: found 2, but 5 are done"):
        run_stages(replace(config, training=replace(config.training, epochs=2)))


def test_every_epoch_stands_in_the_history_exactly_once(tmp_path: Path):
    config = configured(tmp_path)
    content = assert_resumes_identically(config, STOPS, tmp_path)

    history = torch.load(BytesIO(content), weights_only=True)["history"]

    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4, 5]


def test_early_stopping_ends_before_the_last_epoch(tmp_path: Path):
    config = configured(tmp_path, **KINDS["early stopping"], checkpoint=CheckpointConfig(keep_last=5))

    stopped = run_stages(replace(config, training=replace(config.training, epochs=50)))

    assert stopped.epoch < 50


def test_a_diverging_training_names_epoch_and_step_and_keeps_the_last_good_checkpoint(tmp_path: Path):
    config = configured(
        tmp_path, label="regression", training={"optimizer": "SGD", "learning_rate": 10.0, "epochs": 500}
    )

    with pytest.raises(
        TrainingError, match=r"the loss became (nan|inf) in epoch \d+, step \d+; expected a finite number"
    ):
        run_stages(config)

    kept = sorted(open_run(config).checkpoints.glob("*.pth"))
    weights = [torch.load(path, weights_only=True)["model_state_dict"] for path in kept]
    assert all(value.isfinite().all() for state in weights for value in state.values())


def test_plain_torch_reads_a_checkpoint_and_continues_with_model_and_optimizer(tmp_path: Path):
    restored = run_stages(configured(tmp_path, model=ModelConfig(options={"hidden": [4]})))

    checkpoint = torch.load(restored.path, weights_only=True)
    weights = checkpoint["model_state_dict"]
    parameters = [torch.nn.Parameter(value) for value in weights.values()]
    optimizer = torch.optim.Adam(parameters)
    optimizer.load_state_dict(checkpoint["optimizer_state_dict"])

    assert optimizer.state[parameters[0]]["step"].item() == checkpoint["step"] == 5 * STEPS
    assert pickle.dumps(checkpoint["history"])


def test_a_training_leaves_torch_as_it_found_it(tmp_path: Path):
    def settings() -> tuple[int, bool, float]:
        return torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), (torch.tensor(1e-38) / 2).item()

    before = settings()

    with stopping_after(3) as stop:
        run_stages(configured(tmp_path), [stop])

    assert settings() == before


@pytest.mark.parametrize("threads", [1, 2])
def test_numbers_too_small_to_be_fast_are_zero_where_torch_can_do_so_in_all_its_threads(threads: int):
    with reproducible(threads):
        half = torch.tensor(torch.finfo(torch.float32).tiny) / 2

    assert (half.item() == 0) == (threads == 1)
