"""Everything in a registry that decides is verified: no changed byte passes in silence, and old registries are read."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract import write_rows
from tests.unit.serving.test_registry import crown, register
from unbroken import pipeline
from unbroken.config import Config, DataConfig, GateConfig, ModelConfig, RetrainConfig, TrainingConfig
from unbroken.errors import DataError
from unbroken.features.encoder import Encoder
from unbroken.retraining.data_check import check_data
from unbroken.retraining.datasets import CycleDatasets, prepare_data
from unbroken.retraining.new_data import Cycle, find_new_data
from unbroken.serving.registry import Registry, Version
from unbroken.storage import atomic
from unbroken.storage.sealed import unseal


def configured(folder: Path) -> RetrainConfig:
    return RetrainConfig(
        model="rows",
        models_folder=str(folder / "models"),
        gate=GateConfig(resamples=100),
        train=Config(
            data=DataConfig(source=str(folder / "in")),
            model=ModelConfig(options={"hidden": [4]}),
            training=TrainingConfig(epochs=2, batch_size=64, learning_rate=0.02),
            runs_folder=str(folder / "runs"),
        ),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a champion and rows of a second month."""
    folder = tmp_path_factory.mktemp("project")
    write_rows(folder / "in" / "2024-01.parquet", "binary", seed=1)
    pipeline.retrain(configured(folder))
    write_rows(folder / "in" / "2024-02.parquet", "binary", seed=2)
    return folder


@pytest.fixture(scope="module")
def registry(folder: Path) -> Registry:
    return Registry(folder / "models" / "rows")


@pytest.fixture(scope="module")
def champion(registry: Registry) -> Version:
    champion = registry.champion()
    assert champion is not None
    return champion


@pytest.fixture(scope="module")
def second(folder: Path, champion: Version) -> tuple[Cycle, CycleDatasets]:
    """The cycle of the second month and its rows."""
    config = configured(folder)
    cycle = find_new_data(config)
    assert cycle is not None
    assert cycle.champion == champion
    return cycle, prepare_data(cycle, config)


def changes(path: Path, stride: int = 1) -> Iterator[int]:
    """Change every byte of a file in turn, or one in so many, first in one bit, then to a space, and put it back."""
    whole = path.read_bytes()
    for index, byte in list(enumerate(whole))[::stride]:
        for other in {byte ^ 1 << index % 8, ord(" ")} - {byte}:
            path.write_bytes(whole[:index] + bytes([other]) + whole[index + 1 :])
            yield index
    path.write_bytes(whole)


def silent(path: Path, read: Callable[[], object], stride: int = 1) -> list[int]:
    """Return the bytes of a file that can change without an error of what reads it that names the file."""
    passed = []
    for index in changes(path, stride):
        message = ""
        try:
            read()
        except DataError as error:
            message = str(error)
        if str(path) not in message:
            passed.append(index)
    return passed


def test_no_byte_of_the_pointer_changes_in_silence(registry: Registry, champion: Version):
    assert silent(registry.folder / "champion.json", lambda: registry.pointer) == []
    assert registry.champion() == champion


sampled = pytest.mark.parametrize(
    "stride", [pytest.param(31, id="sample"), pytest.param(1, id="all", marks=pytest.mark.slow)]
)


@sampled
def test_no_byte_of_the_profile_changes_in_silence(
    folder: Path,
    champion: Version,
    second: tuple[Cycle, CycleDatasets],
    stride: int,
    monkeypatch: pytest.MonkeyPatch,
):
    config = configured(folder)
    monkeypatch.setattr("unbroken.retraining.data_check.profile_rows", lambda *_: pytest.fail("the profile was read"))

    def read() -> None:
        try:
            check_data(*second, config)
        except pytest.fail.Exception:
            return

    read()
    assert silent(Path(champion.profile), read, stride) == []


@sampled
def test_no_byte_of_the_manifest_changes_in_silence(champion: Version, stride: int):
    path = Path(champion.path)
    assert silent(path.with_suffix(".json"), lambda: Encoder.of_published(path, champion.digest), stride) == []


def test_no_byte_of_a_decision_changes_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    registry = Registry(tmp_path / "models" / "rows")
    crown(registry, "two", crown(registry, "one", None))
    path, events = registry.folder / "audit.jsonl", registry.history()
    for _ in changes(path):
        caplog.clear()
        changed = registry.history()
        assert changed != events
        assert [event for event in changed if event not in events] == []
        assert "line " in caplog.text
    assert registry.history() == events


def test_a_decision_that_was_changed_is_written_again_by_the_next(tmp_path: Path):
    registry = Registry(tmp_path / "models" / "rows")
    first = crown(registry, "one", None)
    crown(registry, "two", first)
    path = registry.folder / "audit.jsonl"
    path.write_text(path.read_text().replace('"decision": 2', '"decision": 3'))

    registry.rollback()

    assert [event["decision"] for event in registry.history()] == [1, 2, 3]


def unsealed(path: Path) -> bytes:
    """Return the content of a file as an earlier version wrote it."""
    return unseal(path.read_bytes().strip(), str(path), "none")


def test_a_registry_of_an_earlier_version_is_read_and_that_is_said(
    folder: Path,
    registry: Registry,
    champion: Version,
    second: tuple[Cycle, CycleDatasets],
    caplog: pytest.LogCaptureFixture,
):
    files = [
        registry.folder / "champion.json",
        Path(champion.profile),
        Path(champion.path).with_suffix(".json"),
    ]
    whole = {path: path.read_bytes() for path in files}
    for path in files:
        path.write_bytes(unsealed(path))
    try:
        assert registry.champion() == champion
        Encoder.of_published(Path(champion.path), champion.digest)
        check_data(*second, configured(folder))
    finally:
        for path, content in whole.items():
            path.write_bytes(content)
    for path in files:
        assert f"{path}: of an earlier version, without a digest" in caplog.text


def test_the_first_decision_of_this_version_gives_an_old_pointer_its_digest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    registry = Registry(tmp_path / "models" / "rows")
    first = crown(registry, "one", None)
    pointer, audit = registry.folder / "champion.json", registry.folder / "audit.jsonl"
    atomic.write(pointer, unsealed(pointer))
    atomic.write(audit, unsealed(audit))

    registry.promote(register(registry, "two").digest)

    assert registry.pointer.champions[0] == first.digest
    assert [event["decision"] for event in registry.history()] == [1, 2]
    assert f"{audit}: 1 lines of an earlier version have no digest" in caplog.text
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        assert registry.pointer.champions[0] == first.digest
    assert caplog.text == ""
    assert next(iter(json.loads(pointer.read_bytes()))) == "content_sha256"
