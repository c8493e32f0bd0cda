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
from unbroken.reports.run import RunReport
from unbroken.run import Run, open_run
from unbroken.serving.prediction import load_predictor
from unbroken.stages.results import Checkpoint
from unbroken.stages.save_checkpoint import save_checkpoint
from unbroken.stages.train import train
from unbroken.storage import atomic
from unbroken.storage.journal import Journal

PUBLICATIONS = 60


def checkpoints_of(folder: Path) -> tuple[Run, list[Checkpoint]]:
    """Train a run, publish nothing, and return the ends of its last two epochs."""
    prepared = pipeline.prepare(pipeline.configure(folder))
    kept = replace(prepared.config, checkpoint=replace(prepared.config.checkpoint, keep_last=20))
    train(kept, prepared.splits, prepared.preprocessed.encoder, prepared.run)
    store = CheckpointStore(prepared.run.checkpoints, Journal(prepared.run.journal))
    entries = [store.epoch(number) for number in (pipeline.EPOCHS - 1, pipeline.EPOCHS)]
    return prepared.run, [
        Checkpoint(path=str(entry.path), digest=atomic.digest(entry.path), epoch=entry.epoch, step=0)
        for entry in entries
    ]


def publish(folder: Path, checkpoint: Checkpoint) -> str:
    """Do stage 5 in a folder."""
    config = pipeline.configure(folder)
    return save_checkpoint(checkpoint, config, open_run(config)).digest


def operations_of(folder: Path, checkpoint: Checkpoint) -> list[Operation]:
    """Do stage 5 and return its file operations."""
    operations: list[Operation] = []
    with watched(folder, operations.append):
        publish(folder, checkpoint)
    return operations


def publish_killed(folder: Path, checkpoint: Checkpoint, faults: Faults) -> None:
    """Do stage 5 and die in it."""
    with watched(folder, faults.judge):
        publish(folder, checkpoint)


def publish_in_turn(folder: Path, checkpoints: list[Checkpoint]) -> None:
    """Publish one checkpoint after the other, again and again."""
    for number in range(PUBLICATIONS):
        publish(folder, checkpoints[number % len(checkpoints)])


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


@pytest.mark.parametrize("before", [None, nothing, without_manifests])
@pytest.mark.parametrize("stride", [pytest.param(5, id="sample"), pytest.param(1, id="all", marks=pytest.mark.slow)])
def test_a_publication_killed_at_any_operation_leaves_the_old_pair_or_the_new(
    stride: int, before: Callable[[Run], None] | None, new_folder: Callable[[], Path]
) -> None:
    def prepared() -> tuple[Path, Run, Checkpoint, set[str]]:
        folder = new_folder()
        run, (first, second) = forks.value(checkpoints_of, folder)
        if before is not None:
            publish(folder, first)
            before(run)
        return folder, run, second, {second.digest, *([first.digest] if before else [])}

    folder, run, second, _ = prepared()
    operations = forks.value(operations_of, folder, second)
    assert [done.target for done in operations if done.kind == "rename"].count(str(run.published)) == 1
    for index in range(stride // 2, len(operations), stride):
        folder, run, second, digests = prepared()
        assert forks.run(publish_killed, folder, second, Faults(index, Fault("before"))).killed
        if run.published.exists():
            digest = read_all(run)
            assert digest in digests
            assert Encoder.of_published(run.published, atomic.digest(run.published))
        else:
            assert before is None
        assert publish(folder, second) == read_all(run) == second.digest
        kept = sorted(path.stem for path in (run.path / "manifests").glob("*.json"))
        assert set(kept) <= digests


def test_readers_beside_publications_always_find_a_pair(new_folder: Callable[[], Path]) -> None:
    folder = new_folder()
    run, checkpoints = forks.value(checkpoints_of, folder)
    publish(folder, checkpoints[0])
    child = forks.start(publish_in_turn, folder, checkpoints)
    digests = []
    while not child.results.poll():
        digests.append(read_all(run))
    assert child.ending().error is None
    assert set(digests) == {checkpoint.digest for checkpoint in checkpoints}
