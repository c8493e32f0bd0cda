"""What a training remembers has to fit its model, its optimizer and its schedule; what an own model keeps is its own matter."""

import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.contract import assert_resumes_identically, encoded, run_stages, write_rows
from tests.unit.checkpoints.test_refusals import plant
from unbroken.checkpoints.format import read_checkpoint
from unbroken.checkpoints.tree import Tree
from unbroken.config import Config, DataConfig, ModelConfig, TrainingConfig
from unbroken.errors import CheckpointError, CheckpointMismatchError
from unbroken.pipeline import Prepared, finish, prepare
from unbroken.run import open_run
from unbroken.serving.prediction import load_predictor
from unbroken.training.hooks import TrainHook

OWN = "tests.unit.own_model:"


def configured(folder: Path, factory: str = "NoisyNet", **training: Any) -> Config:
    options = {"width": 4} if factory == "NoisyNet" else {"hidden": [4]} if factory == "mlp" else {}
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 16} | training
    return Config(
        data=DataConfig(source=write_rows(folder / "rows.parquet", "binary", rows=60)),
        model=ModelConfig(factory=factory if factory == "mlp" else OWN + factory, options=options),
        training=replace(TrainingConfig(), **settings),
        runs_folder=str(folder / "runs"),
    )


def test_an_own_model_with_buffers_that_are_no_finite_numbers_is_resumed_and_predicts(tmp_path: Path):
    config = configured(tmp_path, "Masked", epochs=3)

    assert_resumes_identically(config, (2, 4), tmp_path)

    path = open_run(replace(config, runs_folder=str(tmp_path / "disturbed"))).published
    buffers = read_checkpoint(path)["model_state_dict"]
    assert buffers["mask"].isinf().any()
    assert buffers["calls"] == 9
    assert load_predictor(path, factory=f"{OWN}Masked").model.get_buffer("mask").isinf().any()


@dataclass(frozen=True)
class Trained:
    """A run of two epochs: what it was prepared with, and the content of its last checkpoint."""

    prepared: Prepared
    tree: Tree


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    schedule = {"scheduler": "OneCycleLR", "optimizer": "SGD", "optimizer_options": {"momentum": 0.9}}
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "own": ("NoisyNet", {}),
        "mlp": ("mlp", {}),
        "schedule": ("mlp", schedule),
    }
    result = {}
    for name, (factory, training) in kinds.items():
        config = configured(tmp_path_factory.mktemp(name), factory, **training)
        prepared = prepare(config, open_run(config))
        finish(prepared)
        result[name] = Trained(prepared, read_checkpoint(prepared.run.published))
    return result


def state(tree: Tree) -> dict[int, dict[str, Any]]:
    return tree["optimizer_state_dict"]["state"]


def group(tree: Tree) -> dict[str, Any]:
    return tree["optimizer_state_dict"]["param_groups"][0]


CHANGES: dict[str, tuple[str, Callable[[Tree], Any], str]] = {
    "another schedule": (
        "schedule",
        lambda tree: tree["scheduler_state_dict"].update(total_steps=99),
        "total_steps: found 99, expected 6",
    ),
    "a schedule at no number": (
        "schedule",
        lambda tree: tree["scheduler_state_dict"].update(_last_lr=[float("nan")]),
        "_last_lr[0]: found nan, expected a finite number",
    ),
    "a running mean of NaN": (
        "own",
        lambda tree: tree["model_state_dict"]["norm.running_mean"].fill_(torch.nan),
        "norm.running_mean: found nan",
    ),
    "complex weights": (
        "own",
        lambda tree: tree["model_state_dict"].update({"last.bias": tree["model_state_dict"]["last.bias"].cfloat()}),
        "last.bias: found torch.complex64",
    ),
    "no moments of a layer": (
        "mlp",
        lambda tree: state(tree).pop(0),
        "state.0: found nothing, expected what is remembered of embeddings.0.weight",
    ),
    "no moments at all": (
        "mlp",
        lambda tree: state(tree).clear(),
        "state.0: found nothing, expected what is remembered",
    ),
    "no count of steps": (
        "own",
        lambda tree: state(tree)[0].pop("step"),
        "state.0: found exp_avg, exp_avg_sq, expected other names: step",
    ),
    "one moment too many": ("own", lambda tree: state(tree)[0].update(a=1), "expected other names: a"),
    "a number for moments": (
        "own",
        lambda tree: state(tree)[0].update(exp_avg=1.0),
        "state.0.exp_avg: found 1.0, expected torch.float32",
    ),
    "more steps than were made": (
        "own",
        lambda tree: state(tree)[0]["step"].fill_(99),
        "state.0.step: found 99.0, expected at most 6",
    ),
    "other parameters": (
        "own",
        lambda tree: group(tree).update(params=[3, 2, 1, 0, 4, 5]),
        "params: found a list of 6",
    ),
    "no learning rate": ("own", lambda tree: group(tree).pop("lr"), "param_groups[0].lr: found nothing"),
    "a learning rate in words": ("own", lambda tree: group(tree).update(lr="0.1"), "param_groups[0].lr: found '0.1'"),
    "a flag that was off": (
        "own",
        lambda tree: group(tree).update(amsgrad=True),
        "param_groups[0].amsgrad: found True, expected False",
    ),
    "another epsilon": (
        "own",
        lambda tree: group(tree).update(eps=1e300),
        "param_groups[0].eps: found 1e+300, expected 1e-08",
    ),
    "two groups": (
        "own",
        lambda tree: tree["optimizer_state_dict"]["param_groups"].append(dict(group(tree))),
        "found 2 groups, expected 1",
    ),
    "a schedule where there is none": (
        "own",
        lambda tree: tree.update(scheduler_state_dict={"last_epoch": 2}),
        "scheduler_state_dict: found a dict",
    ),
    "no schedule": (
        "schedule",
        lambda tree: tree.update(scheduler_state_dict=None),
        "scheduler_state_dict: found None",
    ),
    "a schedule without its place": (
        "schedule",
        lambda tree: tree["scheduler_state_dict"].pop("last_epoch"),
        "last_epoch: found nothing",
    ),
    "a schedule elsewhere": (
        "schedule",
        lambda tree: tree["scheduler_state_dict"].update(last_epoch=1),
        "last_epoch: found 1, expected 6",
    ),
    "a schedule in words": (
        "schedule",
        lambda tree: tree["scheduler_state_dict"].update(total_steps="6"),
        "total_steps: found '6'",
    ),
    "a schedule with more": (
        "schedule",
        lambda tree: tree["scheduler_state_dict"].update(step=print.__name__),
        "found step, expected no such name",
    ),
    "a step of another epoch": (
        "own",
        lambda tree: tree.update(step=99),
        "step: found 99 after 2 epochs of 3 steps, expected 6 .. 8",
    ),
    "losses at the end of an epoch": (
        "own",
        lambda tree: tree["loss_sum"].fill_(1),
        "loss_sum: found 1.0 at the end of an epoch, expected 0",
    ),
    "no metric": (
        "own",
        lambda tree: [entry.pop("validation_auroc") for entry in tree["history"]],
        "history[0]: found epoch, learning_rate",
    ),
    "settings that are gone": (
        "own",
        lambda tree: tree["config"]["training"].pop("scheduler_options"),
        "config.training.scheduler_options",
    ),
    "other ranges": ("own", lambda tree: tree["scaler"]["numbers"][0].update(low=-99.0), "scaler: is not the encoder"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_state_that_does_not_fit_is_refused_by_its_place(name: str, trained: dict[str, Trained], tmp_path: Path):
    kind, change, words = CHANGES[name]
    made = trained[kind].prepared
    run = replace(made.run, folder=str(tmp_path / made.run.key))
    shutil.copytree(made.run.path, run.path)
    tree = copy.deepcopy(trained[kind].tree)
    change(tree)
    path = plant(run, encoded(tree), epoch=9)

    with pytest.raises(CheckpointMismatchError) as error:
        finish(replace(made, run=run))

    assert str(error.value).startswith(f"{path}: ")
    assert words in str(error.value)


class Forgetful(TrainHook):
    """Needs more than it kept."""

    name = "forgetful"

    def load_state_dict(self, kept: Tree, weights: Tree) -> None:
        kept["missing"]


class Strange(TrainHook):
    """Keeps what no checkpoint can hold."""

    name = "strange"

    def state_dict(self) -> Tree:
        return {"seen": {1, 2}}


def test_a_hook_that_cannot_take_up_its_memory_is_named(tmp_path: Path):
    config = configured(tmp_path)
    run_stages(config, [Forgetful()])
    longer = replace(config, training=replace(config.training, epochs=3))

    with pytest.raises(
        CheckpointMismatchError, match=r"hooks\.forgetful: Forgetful cannot take up what it kept: KeyError"
    ):
        run_stages(longer, [Forgetful()])


def test_a_memory_that_could_not_be_read_back_is_refused_before_it_is_saved(tmp_path: Path):
    config = configured(tmp_path)

    with pytest.raises(CheckpointError, match="found a value of set to be kept in a checkpoint"):
        run_stages(config, [Strange()])

    assert list(open_run(config).checkpoints.glob("*.pth")) == []
