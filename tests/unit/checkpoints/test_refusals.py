"""A checkpoint that is whole but of another training is refused by name, both sides told; a foreign file never runs code."""

import hashlib
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.contract import encoded, run_stages, write_rows
from unbroken.checkpoints.format import read_checkpoint
from unbroken.config import Config, DataConfig, ModelConfig, SplitConfig, TrainingConfig
from unbroken.errors import CheckpointError, CheckpointMismatchError
from unbroken.run import Run, open_run
from unbroken.storage.journal import Journal

WAYS_OUT = ("move it away", "Use the version of unbroken that wrote it", "Give it to torch.load instead")


@dataclass(frozen=True)
class Trained:
    """A run of two epochs, and the content of its newest checkpoint."""

    config: Config
    run: Run
    tree: dict[str, Any]


def configured(folder: Path, **training: Any) -> Config:
    return Config(
        data=DataConfig(source=write_rows(folder / "rows.parquet", "binary", rows=60)),
        model=ModelConfig(options={"hidden": [4]}),
        training=TrainingConfig(epochs=2, batch_size=16, **training),
        runs_folder=str(folder / "runs"),
    )


def train(config: Config) -> Trained:
    restored = run_stages(config)
    return Trained(config=config, run=open_run(config), tree=read_checkpoint(Path(restored.path)))


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(configured(tmp_path_factory.mktemp("once")))


@pytest.fixture
def trained(once: Trained, tmp_path: Path) -> Trained:
    """A copy of the run that a test may damage."""
    shutil.copytree(once.run.path, tmp_path / "runs" / once.run.key)
    config = replace(once.config, runs_folder=str(tmp_path / "runs"))
    return Trained(config=config, run=open_run(config), tree=read_checkpoint(once.run.published))


def plant(run: Run, content: bytes, epoch: int = 3) -> Path:
    """Put a file among the checkpoints of a run, under the name that the store would give it."""
    digest = hashlib.sha256(content).hexdigest()[:16]
    path = run.checkpoints / f"epoch-{epoch:04d}.{digest}.pth"
    path.write_bytes(content)
    return path


def refused(trained: Trained, content: bytes) -> str:
    """Continue a run whose newest checkpoint is a foreign one, and return why that is refused; nothing is touched."""
    path = plant(trained.run, content)
    before = {path.name: path.read_bytes() for path in trained.run.checkpoints.iterdir()}

    with pytest.raises(CheckpointMismatchError) as error:
        run_stages(replace(trained.config, training=replace(trained.config.training, epochs=4)))

    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert any(way in message for way in WAYS_OUT)
    assert {path.name: path.read_bytes() for path in trained.run.checkpoints.iterdir()} == before
    return message


OTHERS: dict[str, tuple[Callable[[Config], Config], str]] = {
    "another split": (
        lambda config: replace(config, split=SplitConfig(seed=9)),
        "config.split.seed: found 9, expected 0",
    ),
    "another shape of the model": (
        lambda config: replace(config, model=ModelConfig(options={"hidden": [8]})),
        "config.model.options.hidden[0]: found 8, expected 4",
    ),
    "another depth of the model": (
        lambda config: replace(config, model=ModelConfig(options={"hidden": [4, 4]})),
        "config.model.options.hidden[1]: found 4, expected 'nothing'",
    ),
    "another optimizer": (
        lambda config: replace(config, training=replace(config.training, optimizer="SGD")),
        "config.training.optimizer: found 'SGD', expected 'Adam'",
    ),
    "another scheduler": (
        lambda config: replace(config, training=replace(config.training, scheduler="ConstantLR")),
        "config.training.scheduler: found 'ConstantLR', expected None",
    ),
    "another learning rate": (
        lambda config: replace(config, training=replace(config.training, learning_rate=0.5)),
        "config.training.learning_rate: found 0.5, expected 0.003",
    ),
    "another seed": (
        lambda config: replace(config, training=replace(config.training, seed=5)),
        "config.training.seed: found 5, expected 0",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_checkpoint_of_other_settings_is_refused(name: str, trained: Trained, tmp_path: Path):
    change, says = OTHERS[name]
    other = train(change(replace(trained.config, runs_folder=str(tmp_path / "other"))))

    assert says in refused(trained, other.run.published.read_bytes())


def test_a_checkpoint_of_other_data_is_refused(trained: Trained, tmp_path: Path):
    data = DataConfig(source=write_rows(tmp_path / "other.parquet", "binary", rows=60, seed=1))
    other = train(replace(trained.config, data=data, runs_folder=str(tmp_path / "other")))

    message = refused(trained, other.run.published.read_bytes())

    assert f"run_key: found {other.run.key}, expected {trained.run.key}: other data" in message


def changed(trained: Trained, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """Return a checkpoint of the run with something changed inside."""
    tree = read_checkpoint(trained.run.published)
    change(tree)
    return encoded(tree)


def first(tree: dict[str, Any]) -> tuple[str, torch.Tensor]:
    return next((name, value) for name, value in tree["model_state_dict"].items() if "layers" in name)


def to_double(tree: dict[str, Any]) -> None:
    tree["model_state_dict"] = {name: value.double() for name, value in tree["model_state_dict"].items()}


def widen(tree: dict[str, Any]) -> None:
    name, value = first(tree)
    tree["model_state_dict"][name] = torch.cat([value, value])


def forget(tree: dict[str, Any]) -> None:
    del tree["model_state_dict"][first(tree)[0]]


def spoil(tree: dict[str, Any], value: float) -> None:
    first(tree)[1].view(-1)[0] = value


def moments(tree: dict[str, Any]) -> dict[str, torch.Tensor]:
    return tree["optimizer_state_dict"]["state"][1]


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], tuple[str, ...]]] = {
    "weights of 64 bits": (to_double, ("model_state_dict", "found torch.float64", "expected torch.float32")),
    "a wider layer": (widen, ("model_state_dict", "found torch.float32 [8", "expected torch.float32 [4")),
    "a layer that is gone": (forget, ("model_state_dict", "found nothing, expected torch.float32")),
    "a layer too many": (
        lambda tree: tree["model_state_dict"].update(extra=torch.zeros(3)),
        ("extra: found torch.float32 [3], expected nothing",),
    ),
    "a weight of NaN": (
        lambda tree: spoil(tree, float("nan")),
        ("model_state_dict", "found nan, expected finite weights"),
    ),
    "an infinite weight": (lambda tree: spoil(tree, float("inf")), ("found inf, expected finite weights",)),
    "a moment of NaN": (
        lambda tree: moments(tree)["exp_avg"].fill_(float("nan")),
        ("optimizer_state_dict", "exp_avg", "found nan"),
    ),
    "moments of a wider layer": (
        lambda tree: moments(tree).update(exp_avg=torch.zeros(9, 9)),
        ("optimizer_state_dict.state.1.exp_avg: found torch.float32 [9, 9], expected torch.float32",),
    ),
    "moments of 64 bits": (
        lambda tree: moments(tree).update(exp_avg=moments(tree)["exp_avg"].double()),
        ("state.1.exp_avg: found torch.float64", "expected torch.float32"),
    ),
    "moments of a parameter that is not there": (
        lambda tree: tree["optimizer_state_dict"]["state"].update({99: moments(tree)}),
        ("state.99", "found parameter 99"),
    ),
    "an infinite learning rate": (
        lambda tree: tree["optimizer_state_dict"]["param_groups"][0].update(lr=float("inf")),
        ("param_groups[0].lr: found inf, expected a finite number",),
    ),
    "a newer format": (
        lambda tree: tree.update(format=2),
        ("found checkpoint format 2, expected 1", "Use the version of unbroken that wrote it"),
    ),
    "an older format": (lambda tree: tree.update(format=0), ("found checkpoint format 0, expected 1",)),
    "another run's key": (lambda tree: tree.update(run_key="f" * 16), ("run_key: found ffffffffffffffff, expected",)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_checkpoint_with_something_else_inside_is_refused(name: str, trained: Trained):
    change, says = CHANGES[name]

    message = refused(trained, changed(trained, change))

    assert [part for part in says if part not in message] == [], message


def test_the_weights_of_another_program_are_refused(trained: Trained):
    content = BytesIO()
    torch.save(trained.tree["model_state_dict"], content)

    assert "not one of ours: found no `format`" in refused(trained, content.getvalue())


class Payload:
    """Unpickled, it creates a file: what a planted checkpoint would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def foreign_files(path: Path, trained: Trained) -> dict[str, bytes]:
    zipped, inside, legacy = BytesIO(), BytesIO(), BytesIO()
    torch.save(Payload(path), zipped)
    torch.save(trained.tree | {"history": [Payload(path)]}, inside)
    torch.save(Payload(path), legacy, _use_new_zipfile_serialization=False)
    return {
        "a pickle": pickle.dumps(Payload(path)),
        "a torch file": zipped.getvalue(),
        "one of ours with a stranger inside": inside.getvalue(),
        "a torch file of the old kind": legacy.getvalue(),
    }


@pytest.mark.parametrize(
    "name", ["a pickle", "a torch file", "one of ours with a stranger inside", "a torch file of the old kind"]
)
def test_a_foreign_pickle_is_set_aside_unread_and_the_run_goes_on_from_its_own(
    name: str, trained: Trained, tmp_path: Path
):
    content = foreign_files(tmp_path / "executed", trained)[name]
    path = plant(trained.run, content)
    longer = replace(trained.config, training=replace(trained.config.training, epochs=4))
    undisturbed = run_stages(replace(longer, runs_folder=str(tmp_path / "undisturbed")))

    restored = run_stages(longer)

    assert not (tmp_path / "executed").exists()
    assert path.with_name(path.name + ".corrupt").read_bytes() == content
    assert Path(restored.path).read_bytes() == Path(undisturbed.path).read_bytes()
    skipped = [event for event in Journal(trained.run.journal).events() if event["event"] == "skipped corrupt"]
    assert len(skipped) == 1
    assert skipped[0]["reason"].startswith(f"{path}: ")


def test_the_payload_would_run_where_pickles_are_trusted(tmp_path: Path):
    """What the tests above defend against is real: without the refusal the file appears."""
    pickle.loads(pickle.dumps(Payload(tmp_path / "executed")))

    assert (tmp_path / "executed").exists()


def test_a_run_with_foreign_pickles_alone_does_not_start_anew(trained: Trained, tmp_path: Path):
    for own in trained.run.checkpoints.glob("*.pth"):
        own.unlink()
    plant(trained.run, foreign_files(tmp_path / "executed", trained)["a pickle"])

    with pytest.raises(CheckpointError, match="found only corrupt checkpoints"):
        run_stages(replace(trained.config, training=replace(trained.config.training, epochs=4)))

    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_copied_over_ones_own_is_set_aside_and_the_epoch_trained_again(trained: Trained, tmp_path: Path):
    """It is whole, but not the content that its name promises."""
    other = train(configured(tmp_path / "other", seed=5))
    before = trained.run.published.read_bytes()
    newest = max(trained.run.checkpoints.glob("*.pth"))
    newest.write_bytes(other.run.published.read_bytes())

    restored = run_stages(trained.config)

    assert newest.with_name(newest.name + ".corrupt").exists()
    assert Path(restored.path).read_bytes() == before
