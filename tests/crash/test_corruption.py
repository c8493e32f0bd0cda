"""Files cut off and bits flipped: noticed each time, set aside with the reason, and made up for; never trained on."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultRecord

from tests.crash import forks, pipeline
from tests.crash.command import Command
from tests.crash.corruption import Damage, damages
from tests.crash.pipeline import Prepared, Undisturbed
from tests.scorecard import Scorecard, mismatch
from unbroken.checkpoints.format import read_checkpoint
from unbroken.checkpoints.store import CORRUPT, CheckpointStore, Entry
from unbroken.checkpoints.tree import leaves
from unbroken.errors import CheckpointError, CorruptCheckpointError, DataError
from unbroken.orchestration.records import CheckedStorage
from unbroken.stages.load_data import read_manifest
from unbroken.stages.results import Published
from unbroken.stages.split import split_dataset
from unbroken.storage.artifact import verify
from unbroken.storage.journal import Journal
from unbroken.training.inputs import EvaluationInputs, TrainingInputs
from unbroken.training.resume import newest_whole

Folders = Callable[[], Path]

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore:Logger 'unbroken"),  # Prefect, imported here for its results, misses its server
]
sampled = pytest.mark.parametrize(
    "stride", [pytest.param(25, id="sample"), pytest.param(1, id="all", marks=pytest.mark.slow)]
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, source: Path) -> tuple[Prepared, Published]:
    """A run that has ended."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / source.name).hardlink_to(source)
    return forks.value(pipeline.finished, folder)


@pytest.fixture
def store(finished: tuple[Prepared, Published], tmp_path: Path) -> CheckpointStore:
    """The checkpoints of the run, in a folder that may be damaged."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for path in finished[0].run.checkpoints.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return CheckpointStore(folder, Journal(tmp_path / "journal.jsonl"))


@sampled
def test_a_damaged_checkpoint_is_set_aside_with_the_reason_and_the_one_before_is_used(
    stride: int, store: CheckpointStore, scorecard: Scorecard
) -> None:
    newest, previous = store.entries()
    content = newest.path.read_bytes()

    def wrong(damage: Damage) -> str | None:
        newest.path.write_bytes(damage.of(content))
        result = newest_whole(store)
        aside = newest.path.with_name(newest.path.name + CORRUPT)
        event = store.journal.events()[-1]
        right = result is not None and result[0] == previous and aside.read_bytes() == damage.of(content)
        explained = (
            event["event"] == "skipped corrupt"
            and str(newest.path) in event["reason"]
            and event["epoch"] == newest.epoch
        )
        aside.unlink()
        return None if right and explained else f"{damage}: {result}, {event}"

    cases = list(damages(content, flips=200, stride=stride))
    scorecard.judge("corruptions", [wrong(case) for case in cases])


@pytest.mark.parametrize("cases", [pytest.param(6, id="sample"), pytest.param(60, id="all", marks=pytest.mark.slow)])
def test_a_run_whose_newest_checkpoint_was_damaged_ends_with_the_same_bytes(
    cases: int, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    def wrong(step: int, damaged: int) -> str | None:
        folder = new_folder()
        assert forks.run(pipeline.killed_after_step, folder, step).killed
        (run,) = folder.glob("runs/*")
        entry = CheckpointStore(run / "checkpoints", Journal(run / "journal.jsonl")).entries()[0]
        damage_of(entry, damaged)
        ending = forks.run(pipeline.complete, folder)
        return None if ending.value == undisturbed.digest else f"killed after step {step}, {damaged}: {ending}"

    # After step 7 two checkpoints are durable whatever the third is at: one is damaged, the one before is whole.
    last = pipeline.EPOCHS * pipeline.STEPS
    steps = [(7 + number % (last - 7), number) for number in range(cases)]
    scorecard.judge("corruptions", forks.run_all(wrong, steps))


def test_a_run_without_a_whole_checkpoint_stops_and_does_not_begin_anew(
    new_folder: Folders, scorecard: Scorecard
) -> None:
    folder = new_folder()
    assert forks.run(pipeline.killed_after_step, folder, 9).killed
    (run,) = folder.glob("runs/*")
    entries = CheckpointStore(run / "checkpoints", Journal(run / "journal.jsonl")).entries()
    for entry in entries:
        damage_of(entry, 7)
    for _ in range(2):
        error = forks.run(pipeline.complete, folder).error
        assert isinstance(error, CheckpointError)
        assert "only corrupt checkpoints" in str(error)
        assert str(run / "checkpoints") in str(error)
    aside = {path.name for path in (run / "checkpoints").iterdir()}
    names = [entry.path.name for entry in entries]
    scorecard.judge("corruptions", [None if name + CORRUPT in aside else f"{name}: not set aside" for name in names])


@sampled
def test_a_damaged_published_checkpoint_or_manifest_is_never_taken_for_whole(
    stride: int, finished: tuple[Prepared, Published], tmp_path: Path, scorecard: Scorecard
) -> None:
    published = finished[1]
    content = Path(published.path).read_bytes()
    manifest = Path(published.manifest.path).read_bytes()
    whole = leaves(read_checkpoint(Path(published.path)), "")

    def loaded(damaged: bytes) -> str | None:
        path = tmp_path / "checkpoint.pth"
        path.write_bytes(damaged)
        with pytest.raises(CorruptCheckpointError, match=str(path)):
            read_checkpoint(path, published.digest)
        # A reader that has no digest may overlook what changes no value, such as a bit of padding, and nothing else.
        try:
            values = leaves(read_checkpoint(path), "")
        except CheckpointError:
            return None
        return None if same_leaves(values, whole) else "other values were read"

    def described(damaged: bytes) -> str | None:
        Path(published.manifest.path).write_bytes(damaged)
        with pytest.raises(DataError, match=published.manifest.path):
            verify(published)
        return None

    cases = [(content, case, loaded) for case in damages(content, flips=200, stride=stride)]
    cases += [(manifest, case, described) for case in damages(manifest, flips=100, stride=stride)]
    outcomes = [
        complaint and f"{damage}: {complaint}"
        for content, damage, read in cases
        for complaint in [read(damage.of(content))]
    ]
    Path(published.manifest.path).write_bytes(manifest)
    scorecard.judge("corruptions", outcomes)


@sampled
def test_damaged_intermediate_files_are_never_read_as_whole(
    stride: int, finished: tuple[Prepared, Published], scorecard: Scorecard
) -> None:
    prepared = finished[0]

    def train() -> object:
        return TrainingInputs.read(prepared.config, prepared.splits, prepared.preprocessed.encoder, prepared.run)

    def evaluate() -> object:
        return EvaluationInputs.read(prepared.config, prepared.splits, prepared.preprocessed.encoder, prepared.run)

    def split() -> object:
        return split_dataset(prepared.preprocessed, prepared.config.chosen.split, prepared.run)

    readers = {
        prepared.splits.train: train,
        prepared.splits.test: evaluate,
        prepared.preprocessed.encoder: train,
        prepared.preprocessed.dataset: split,
        prepared.preprocessed.assignment: split,
        prepared.dataset: lambda: read_manifest(prepared.dataset),
    }
    outcomes = list[str | None]()
    for artifact, read in readers.items():
        path = Path(artifact.path)
        content = path.read_bytes()
        for damage in damages(content, flips=50, stride=stride):
            path.write_bytes(damage.of(content))
            outcomes.append(None if refuses(read, artifact.path) else f"{artifact.path}: {damage}: was read")
        path.write_bytes(content)
    scorecard.judge("corruptions", outcomes)


@sampled
def test_a_damaged_stored_result_is_not_used_and_the_log_says_why(
    stride: int, expected: Command, scorecard: Scorecard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results = sorted(expected.run.glob("results/*"))
    assert len(results) == 6
    outcomes = list[str | None]()
    for path in results:
        content = path.read_bytes()
        whole = stored_result(content, tmp_path)
        for damage in damages(content, flips=100, stride=stride):
            try:
                value = stored_result(damage.of(content), tmp_path)
            except DataError:
                value = whole
            outcomes.append(mismatch(f"{path.name}: {damage}", value, whole))
    scorecard.judge("corruptions", outcomes)

    with caplog.at_level(logging.WARNING), pytest.raises(DataError):
        stored_result(content.replace(b"sha", b"shb").replace(b"epoch", b"epocj"), tmp_path)
    assert "a stored result is not used" in caplog.text


def stored_result(content: bytes, folder: Path) -> object:
    """Return what a stored result holds, read as a run reads it."""
    (folder / "record").write_bytes(content)
    storage = CheckedStorage(LocalFileSystem(basepath=str(folder)), Any)
    return ResultRecord.deserialize(storage.read_path("record", _sync=True)).result


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("*/results/*", id="results"),
        pytest.param("*/data/*", id="data", marks=pytest.mark.slow),
        pytest.param("*/checkpoint.*", id="published", marks=pytest.mark.slow),
        pytest.param("*/checkpoints/epoch-0006*", id="newest checkpoint", marks=pytest.mark.slow),
        pytest.param("*/**/*.*", id="all but the older checkpoints"),
    ],
)
@pytest.mark.slow
def test_the_command_typed_again_mends_damaged_files(pattern: str, expected: Command, scorecard: Scorecard) -> None:
    published = expected.published
    whole = {path: path.read_bytes() for path in expected.folder.glob(pattern) if is_damaged_here(path)}
    for number, (path, content) in enumerate(sorted(whole.items())):
        path.write_bytes(Damage("flip", 8 * (len(content) // 2) + number % 8).of(content))
    assert expected.finish() == published
    outcomes = [
        None if path.parent.name == "results" or path.read_bytes() == content else f"{path}: not mended"
        for path, content in whole.items()
    ]
    scorecard.judge("corruptions", outcomes)


def is_damaged_here(path: Path) -> bool:
    """Leave out older checkpoints, without which nothing could be mended, and files of which nothing is asked."""
    aside = path.suffix == CORRUPT
    older = path.parent.name == "checkpoints" and not path.name.startswith("epoch-0006")
    return (
        path.is_file() and not aside and not older and path.name not in {"lock", "owner", "journal.jsonl", "run.json"}
    )


def refuses(read: Callable[[], object], path: str) -> bool:
    """Tell whether a reader refuses with an error that names the path."""
    try:
        read()
    except DataError as error:
        return path in str(error)
    return False


def damage_of(entry: Entry, number: int) -> None:
    """Damage a checkpoint: odd numbers flip a bit, even ones cut."""
    content = entry.path.read_bytes()
    position = len(content) * (number % 11) // 11
    damage = Damage("flip", 8 * position + number % 8) if number % 2 else Damage("cut", position)
    entry.path.write_bytes(damage.of(content))


def same_leaves(left: list[tuple[str, object]], right: list[tuple[str, object]]) -> bool:
    """Compare two trees to the bit."""
    if [name for name, _ in left] != [name for name, _ in right]:
        return False
    pairs = [(first, second) for (_, first), (_, second) in zip(left, right, strict=True)]
    return all(
        torch.equal(first, second)
        if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor)
        else first == second
        for first, second in pairs
    )
