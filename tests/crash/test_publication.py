"""A publication is one commit: killed at any operation, or read at any moment, it shows the old pair or the new one."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash import forks, pipeline
from tests.crash.disk import Fault, Faults, Operation, watched
from unbroken.checkpoints.inspection import verify_run
from unbroken.checkpoints.store import CheckpointStore
from unbroken.features.encoder import Encoder
from unbroken.pipeline import Prepared
from unbroken.reports.run import RunReport
from unbroken.run import Run
from unbroken.serving.prediction import load_predictor
from unbroken.stages.results import Checkpoint
from unbroken.stages.save_checkpoint import save_checkpoint
from unbroken.stages.train import train
from unbroken.storage import atomic
from unbroken.storage.journal import Journal

PUBLICATIONS = 60


def checkpoints_of(folder: Path) -> tuple[Prepared, list[Checkpoint]]:
    """Train a run, publish nothing, and return what it trained on and the ends of its last two epochs."""
    prepared = pipeline.prepare(pipeline.configure(folder))
    kept = replace(prepared.config, checkpoint=replace(prepared.config.checkpoint, keep_last=20))
    train(kept, prepared.splits, prepared.preprocessed.encoder, prepared.run)
    store = CheckpointStore(prepared.run.checkpoints, Journal(prepared.run.journal))
    entries = [store.epoch(number) for number in (pipeline.EPOCHS - 1, pipeline.EPOCHS)]
    return prepared, [
        Checkpoint(path=str(entry.path), digest=atomic.digest(entry.path), epoch=entry.epoch, step=0)
        for entry in entries
    ]


def publish(prepared: Prepared, checkpoint: Checkpoint) -> str:
    """Do stage 5 for a checkpoint as if it were the last."""
    config = replace(prepared.config, checkpoint=replace(prepared.config.checkpoint, publish="last"))
    splits, encoder = prepared.splits, prepared.preprocessed.encoder
    return save_checkpoint(checkpoint, splits, encoder, config, prepared.run).digest


def operations_of(prepared: Prepared, checkpoint: Checkpoint) -> list[Operation]:
    """Do stage 5 and return its file operations."""
    operations: list[Operation] = []
    with watched(folder_of(prepared), operations.append):
        publish(prepared, checkpoint)
    return operations


def publish_killed(prepared: Prepared, checkpoint: Checkpoint, faults: Faults) -> None:
    """Do stage 5 and die in it."""
    with watched(folder_of(prepared), faults.judge):
        publish(prepared, checkpoint)


def folder_of(prepared: Prepared) -> Path:
    """Return the folder of the source and the runs."""
    return Path(prepared.config.runs_folder).parent


def publish_in_turn(prepared: Prepared, checkpoints: list[Checkpoint]) -> None:
    """Publish one checkpoint after the other, again and again."""
    for number in range(PUBLICATIONS):
        publish(prepared, checkpoints[number % len(checkpoints)])


def read_all(run: Run) -> str:
    """Read a publication in every way and return its digest; raise what a reader raises."""
    assert [status for status in verify_run(run.path) if status.complaint] == []
    RunReport.read(run)
    return load_predictor(run.published).digest


def nothing(_: Run) -> None:
    """Leave the run as the publication before left it."""


def without_manifests(run: Run) -> None:
    """Leave the run as a version without manifests by digest left it."""
    shutil.rmtree(run.path / "manifests")


@pytest.mark.parametrize("before", [None, nothing, pytest.param(without_manifests, marks=pytest.mark.slow)])
@pytest.mark.parametrize("stride", [pytest.param(13, id="sample"), pytest.param(1, id="all", marks=pytest.mark.slow)])
def test_a_publication_killed_at_any_operation_leaves_the_old_pair_or_the_new(
    stride: int, before: Callable[[Run], None] | None, new_folder: Callable[[], Path]
) -> None:
    def trained() -> tuple[Prepared, Checkpoint, set[str]]:
        prepared, (first, second) = forks.value(checkpoints_of, new_folder())
        if before is not None:
            publish(prepared, first)
            before(prepared.run)
        return prepared, second, {second.digest, *([first.digest] if before else [])}

    prepared, second, _ = trained()
    run = prepared.run
    operations = forks.value(operations_of, prepared, second)
    assert [done.target for done in operations if done.kind == "rename"].count(str(run.published)) == 1
    for index in range(stride // 2, len(operations), stride):
        prepared, second, digests = trained()
        run = prepared.run
        assert forks.run(publish_killed, prepared, second, Faults(index, Fault("before"))).killed
        if run.published.exists():
            digest = read_all(run)
            assert digest in digests
            assert Encoder.of_published(run.published, atomic.digest(run.published))
        else:
            assert before is None
        assert publish(prepared, second) == read_all(run) == second.digest
        kept = sorted(path.stem for path in (run.path / "manifests").glob("*.json"))
        assert set(kept) <= digests


@pytest.mark.slow
def test_readers_beside_publications_always_find_a_pair(new_folder: Callable[[], Path]) -> None:
    prepared, checkpoints = forks.value(checkpoints_of, new_folder())
    publish(prepared, checkpoints[0])
    child = forks.start(publish_in_turn, prepared, checkpoints)
    digests = []
    while not child.results.poll():
        digests.append(read_all(prepared.run))
    assert child.ending().error is None
    assert set(digests) == {checkpoint.digest for checkpoint in checkpoints}
