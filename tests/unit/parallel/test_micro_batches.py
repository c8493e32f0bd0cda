"""A gradient that is cut into micro-batches: what it is, and that a training by it resumes to the same bytes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.contract import assert_resumes_identically, run_stages, write_rows
from tests.unit.optimization.test_gradient import batch_of, features_of
from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, TrainingConfig
from unbroken.config.config import identity
from unbroken.errors import ConfigError
from unbroken.features.spec import FeatureSpec
from unbroken.models.mlp import MLP
from unbroken.optimization.gradient import AutogradGradient, gradient_of
from unbroken.parallel.micro_batches import MicroBatchGradient

STEPS = 5  # 240 rows, 173 to train, 36 a batch, the last of 29
STOPS = (1, STEPS + 2, STEPS)

OWN_MODEL = ModelConfig(factory="tests.unit.own_model:NoisyNet", options={"width": 8})

KINDS: dict[str, dict[str, Any]] = {
    "an MLP": {"model": ModelConfig(options={"hidden": [8, 8]})},
    "dropout, a clipped gradient, class weights and OneCycleLR": {
        "training": {"scheduler": "OneCycleLR", "class_weights": "balanced", "gradient_clip": 0.5}
    },
    "multiclass, SGD, a plateau and an uneven last batch": {
        "label": "multiclass",
        "training": {
            "optimizer": "SGD",
            "optimizer_options": {"momentum": 0.9},
            "scheduler": "ReduceLROnPlateau",
            "scheduler_options": {"patience": 0},
        },
    },
    "an own model with a BatchNorm that draws from three generators": {"model": OWN_MODEL},
    "an own model with buffers that are no finite numbers": {
        "model": ModelConfig(factory="tests.unit.own_model:Masked")
    },
    "a frozen layer": {
        "model": ModelConfig(factory="tests.unit.changed_models:changed", options={"change": "frozen layer"})
    },
    "tabm in bfloat16, accumulated and averaged": {
        "model": ModelConfig(factory="tabm", options={"hidden": [8], "members": 2}),
        "training": {"precision": "bfloat16", "batch_size": 9, "accumulate": 4, "ema_decay": 0.9},
    },
    "more micro-batches than rows in the last batch": {"training": {"micro_batches": 32}},
}


def configured(folder: Path, label: str = "binary", **sections: Any) -> Config:
    training = sections.pop("training", {})
    return Config(
        data=DataConfig(source=write_rows(folder / f"{label}.parquet", label)),
        model=sections.pop("model", ModelConfig(options={"hidden": [8, 8], "dropout": 0.2})),
        training=replace(TrainingConfig(epochs=2, batch_size=36, micro_batches=4), **training),
        checkpoint=CheckpointConfig(every_steps=4),
        runs_folder=str(folder / "runs"),
        **sections,
    )


QUICK = ("dropout, a clipped gradient", "an own model with a BatchNorm")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind.startswith(QUICK) else [pytest.mark.slow]) for kind in KINDS]
)
def test_a_training_in_micro_batches_resumes_to_the_same_bytes(kind: str, tmp_path: Path):
    assert_resumes_identically(configured(tmp_path, **KINDS[kind]), STOPS, tmp_path)


@pytest.mark.slow
def test_a_training_in_micro_batches_stopped_after_every_single_step_resumes_identically(tmp_path: Path):
    config = configured(tmp_path, training={"epochs": 2}, model=OWN_MODEL)
    config = replace(config, checkpoint=CheckpointConfig(every_steps=1))

    assert_resumes_identically(config, [2] * (2 * STEPS), tmp_path)


def test_streamed_rows_train_in_micro_batches_to_the_bytes_of_rows_in_memory(tmp_path: Path):
    source = write_rows(tmp_path / "rows.parquet", "binary", rows=60_000)
    config = configured(tmp_path, training={"epochs": 2, "batch_size": 5000, "shuffle_rows": 2048})
    config = replace(config, data=DataConfig(source=source))
    in_memory = run_stages(replace(config, runs_folder=str(tmp_path / "in memory")))

    streamed = replace(config, training=replace(config.training, memory_limit=1))
    content = assert_resumes_identically(streamed, (6,), tmp_path)

    assert (tmp_path / "disturbed" / Path(in_memory.path).parent.name / "data" / "train.rows").is_file()
    assert content == Path(in_memory.path).read_bytes()


@pytest.mark.parametrize("micro_batches", [2, 8, 64])
@pytest.mark.parametrize("kind", [AutogradGradient, gradient_of])
def test_the_gradient_of_micro_batches_is_that_of_the_whole_batch(kind: Any, micro_batches: int):
    model = MLP(features_of("binary", (5, 100)), [16, 8], 0.0).double()
    batch, weights = batch_of("binary", (5, 100), rows=45), torch.tensor([1.0, 3.0]).double()
    whole = AutogradGradient(model, "binary", weights)
    expected = whole(batch)
    gradients = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]

    gradient = MicroBatchGradient(kind(model, "binary", weights), model, micro_batches, lambda _: None)
    for _ in range(2):  # the second time its memory is used again
        loss = gradient(gradient.prepare(batch))

        torch.testing.assert_close(loss, expected)
        for parameter, value in zip(model.parameters(), gradients, strict=True):
            torch.testing.assert_close(parameter.grad, value)


class Partly(nn.Module):
    """Leaves a layer out of the rows of one batch, has constants in buffers, and counts."""

    def __init__(self, features: FeatureSpec) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(len(features.numbers), 1), nn.Linear(len(features.numbers), 1)
        self.register_buffer("lowest", torch.tensor([torch.finfo(torch.float32).min, 1e-40, 0.1, torch.nan]))
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, numbers: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        self.get_buffer("mean").copy_(numbers.detach().mean())
        self.get_buffer("calls").add_(1)
        return self.used(numbers)


def test_what_no_micro_batch_touches_stays_as_it_is_and_what_they_change_is_averaged():
    model, batch = Partly(features_of("regression", ())).double(), batch_of("regression", ())
    lowest = model.get_buffer("lowest").clone()
    gradient = MicroBatchGradient(gradient_of(model, "regression", None), model, 4, lambda _: None)

    gradient(batch)

    assert model.unused.weight.grad is None
    assert model.used.weight.grad is not None
    assert model.get_buffer("lowest").numpy().tobytes() == lowest.numpy().tobytes()
    assert model.get_buffer("calls") == 1
    torch.testing.assert_close(model.get_buffer("mean"), batch.numbers.mean())


def test_the_number_of_micro_batches_is_part_of_the_run_where_it_is_not_one():
    assert "micro_batches" not in identity(Config())["training"]
    assert identity(Config(training=TrainingConfig(micro_batches=4)))["training"]["micro_batches"] == 4


@pytest.mark.parametrize("micro_batches", [0, 3, 6])
def test_a_number_of_micro_batches_that_is_no_power_of_two_is_refused(micro_batches: int):
    with pytest.raises(ConfigError, match=r"training\.micro_batches: found \d, expected"):
        TrainingConfig(micro_batches=micro_batches)


def test_a_micro_batch_of_one_row_is_refused_before_training_where_a_model_cannot_train_on_it(tmp_path: Path):
    config = configured(
        tmp_path, model=OWN_MODEL, training={"batch_size": 34}
    )  # 173 = 5 x 34 + 3, and a leaf of 3 has 1

    with pytest.raises(ConfigError, match=r"micro-batch \(4 a step\) has 1 row"):
        run_stages(config)
