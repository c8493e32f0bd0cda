"""300 checkpoints with odd content end in the bytes of an undisturbed run or in one paragraph, soon, and touch nothing else."""

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.contract import stopping_after, write_rows
from tests.unit.mutated_content import Mutated, mutated
from tests.unit.test_mutated_sources import time_limit
from tests.unit.training.test_hooks import OwnAverage
from unbroken.checkpoints.format import read_checkpoint
from unbroken.checkpoints.tree import Tree
from unbroken.cli.main import answer
from unbroken.config import CheckpointConfig, Config, DataConfig, ModelConfig, TrainingConfig
from unbroken.errors import UnbrokenError
from unbroken.pipeline import Prepared, finish, prepare
from unbroken.run import open_run
from unbroken.serving.prediction import load_predictor
from unbroken.stages.load_checkpoint import load_checkpoint
from unbroken.stages.results import Published
from unbroken.storage.artifact import Artifact
from unbroken.storage.publication import publish
from unbroken.storage.sealed import seal, unseal
from unbroken.training.hooks import TrainHook

FAST, ALL = 15, 300
EPOCHS, STEPS = 3, 3


class CheckedAverage(OwnAverage):
    """A hook that looks at its memory: what is in it, only the hook knows."""

    def load_state_dict(self, kept: Tree, weights: Tree) -> None:
        for name, value in weights.items():
            average = kept["averages"][name]
            if (average.dtype, average.shape) != (value.dtype, value.shape) or not average.isfinite().all():
                raise ValueError(f"averages.{name}: found {average.dtype} {list(average.shape)}")
        super().load_state_dict(kept, weights)


KINDS: dict[str, tuple[ModelConfig, dict[str, Any], type[TrainHook] | None]] = {
    "an MLP": (ModelConfig(options={"hidden": [4], "dropout": 0.2}), {}, None),
    "an own model": (
        ModelConfig(factory="tests.unit.own_model:NoisyNet", options={"width": 4}),
        {"optimizer": "SGD", "optimizer_options": {"momentum": 0.9}, "scheduler": "OneCycleLR"},
        None,
    ),
    "an average": (
        ModelConfig(options={"hidden": [4]}),
        {"scheduler": "ReduceLROnPlateau", "scheduler_options": {"patience": 0}, "optimizer": "Adagrad"},
        CheckedAverage,
    ),
}


@dataclass(frozen=True)
class Made:
    """A run that was stopped, the same one finished, and the content of its newest checkpoints."""

    folder: Path
    prepared: Prepared
    hook: type[TrainHook] | None
    tree: dict[str, Any]
    last: dict[str, Any]
    whole: bytes
    predictions: pa.Table

    @property
    def hooks(self) -> list[TrainHook]:
        return [self.hook()] if self.hook else []


def make(name: str, folder: Path) -> Made:
    model, training, hook = KINDS[name]
    config = Config(
        data=DataConfig(source=write_rows(folder / "rows.parquet", "binary", rows=60)),
        model=model,
        training=replace(TrainingConfig(epochs=EPOCHS, batch_size=16), **training),
        checkpoint=CheckpointConfig(every_steps=2, every_seconds=None),
        runs_folder=str(folder / "stopped"),
    )
    prepared = prepare(config, open_run(config))
    with stopping_after(2 * STEPS + 2) as stop:
        finish(prepared, hooks=[*([hook()] if hook else []), stop])
    shutil.copytree(folder / "stopped", folder / "finished")
    run = replace(prepared.run, folder=str(folder / "finished" / prepared.run.key))
    _, published, _ = finish(replace(prepared, run=run), hooks=[hook()] if hook else [])
    newest = max((folder / "stopped").rglob("epoch-*.pth"))
    rows = pq.read_table(config.data.source)
    return Made(
        folder=folder,
        prepared=prepared,
        hook=hook,
        tree=read_checkpoint(newest),
        last=read_checkpoint(Path(published.path)),
        whole=Path(published.path).read_bytes(),
        predictions=load_predictor(published.path, factory=model.factory).predict(rows).drop(["model"]),
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    return {name: make(name, tmp_path_factory.mktemp("made") / "in") for name in KINDS}


def copied(made: Made, kind: str, folder: Path) -> Prepared:
    shutil.copytree(made.folder / kind, folder / kind)
    return replace(made.prepared, run=replace(made.prepared.run, folder=str(folder / kind / made.prepared.run.key)))


def plant(prepared: Prepared, content: bytes) -> None:
    """Put a checkpoint in the place of a run's newest, under the name that the store would give it."""
    newest = max(prepared.run.checkpoints.glob("epoch-*.pth"))
    digest = hashlib.sha256(content).hexdigest()[:16]
    newest.unlink()
    newest.with_name(f"{newest.name.partition('.')[0]}.{digest}.pth").write_bytes(content)


def published(prepared: Prepared, content: bytes) -> Published:
    """Publish a checkpoint with a manifest that fits it."""
    digest, run = hashlib.sha256(content).hexdigest(), prepared.run
    manifest = json.loads(unseal(run.manifest.read_bytes(), "", "format")) | {"sha256": digest}
    publish(run.published, content, digest, seal(json.dumps(manifest).encode()))
    return Published(path=str(run.published), digest=digest, manifest=Artifact.of(run.manifest), epoch=EPOCHS)


def require_paragraph(error: UnbrokenError, case: Mutated) -> None:
    assert str(error).strip(), case.change
    assert "\n" not in str(error), case.change
    assert len(str(error)) < 2000, case.change


def resumed(made: Made, kind: str, case: Mutated, folder: Path) -> None:
    prepared = copied(made, kind, folder)
    plant(prepared, case.content)
    try:
        finish(prepared, hooks=made.hooks)
    except UnbrokenError as error:
        require_paragraph(error, case)
    else:
        assert case.plausible or prepared.run.published.read_bytes() == made.whole, case.change


def restored(made: Made, case: Mutated, folder: Path) -> None:
    prepared = copied(made, "finished", folder)
    try:
        load_checkpoint(
            published(prepared, case.content),
            prepared.splits,
            prepared.preprocessed.encoder,
            prepared.config,
            prepared.run,
        )
    except UnbrokenError as error:
        require_paragraph(error, case)


def predicted(made: Made, case: Mutated, folder: Path) -> None:
    prepared = copied(made, "finished", folder)
    published(prepared, case.content)
    rows = pq.read_table(prepared.config.data.source)
    try:
        predictor = load_predictor(prepared.run.published, factory=prepared.config.model.factory)
        predictions = predictor.predict(rows)
    except UnbrokenError as error:
        require_paragraph(error, case)
    else:
        assert case.plausible or predictions.drop(["model"]).equals(made.predictions), case.change


def inspected(made: Made, case: Mutated, folder: Path) -> None:
    prepared = copied(made, "finished", folder)
    plant(prepared, case.content)
    published(prepared, case.content)
    run, other = str(prepared.run.path), str(made.folder / "finished" / prepared.run.key)
    before = files(folder)
    for command in (["list", run], ["verify", run], ["diff", run, other], ["diff", other, run]):
        assert answer(["runs", *command]) in {0, 1, 2}, case.change
    assert files(folder) == before, case.change


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "seed", [*range(FAST), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(FAST, ALL))]
)
def test_odd_content_ends_in_the_right_bytes_or_in_one_paragraph(
    seed: int, runs: dict[str, Made], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    made = runs[list(KINDS)[seed // 4 % len(KINDS)]]
    untouched = files(made.folder)
    inside, last = mutated(made.tree, seed), mutated(made.last, seed)

    with time_limit():
        resumed(made, "stopped", inside, tmp_path / "resumed")
        resumed(made, "finished", last, tmp_path / "run again")
        restored(made, last, tmp_path / "restored")
        predicted(made, last, tmp_path / "predicted")
        inspected(made, last, tmp_path / "inspected")

    assert "Traceback" not in capsys.readouterr().err
    assert files(made.folder) == untouched
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "inspected",
        "predicted",
        "restored",
        "resumed",
        "run again",
    ]
