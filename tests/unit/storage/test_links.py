"""A link, a pipe or a folder planted at a name that a run or a registry writes is never followed, and never waited for."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract import run_stages, write_rows
from tests.unit.serving.test_registry import crown, register
from unbroken.config import Config, DataConfig, ModelConfig, TrainingConfig
from unbroken.deployment.services import Service
from unbroken.errors import DataError
from unbroken.run import Run, open_run
from unbroken.serving.registry import Registry
from unbroken.storage import own_files
from unbroken.storage.journal import Journal

VICTIM = b'{"the only copy": "of something"}\n'
REFUSED = ("journal.jsonl", "lock", "manifests/lock")
"""Names that are written in place; all others get a new file by a rename."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Run, bytes]:
    """A finished run of one epoch: its settings, and the bytes that it published."""
    folder = tmp_path_factory.mktemp("made")
    config = Config(
        data=DataConfig(source=write_rows(folder / "rows.parquet", "binary", rows=60)),
        model=ModelConfig(options={"hidden": [4]}),
        training=TrainingConfig(epochs=1, batch_size=16),
        runs_folder=str(folder / "runs"),
    )
    run_stages(config)
    run = open_run(config)
    return config, run, run.published.read_bytes()


def plant(path: Path, victim: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(victim)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_bytes(VICTIM)
    return path


def test_links_at_all_names_of_a_run_are_replaced(made: tuple[Config, Run, bytes], victim: Path, tmp_path: Path):
    config, run, content = made
    again = replace(config, runs_folder=str(tmp_path / "runs"))
    names = [path.relative_to(run.path) for path in run.path.rglob("*") if path.is_file()]
    names = [name for name in names if str(name) not in REFUSED and name.parent.name != "checkpoints"]
    assert len(names) > 12
    for name in names:
        plant(tmp_path / "runs" / run.key / name, victim)

    restored = run_stages(again)

    assert victim.read_bytes() == VICTIM
    assert Path(restored.path).read_bytes() == content
    assert [name for name in names if (tmp_path / "runs" / run.key / name).is_symlink()] == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "a link") for name in REFUSED),
        *(("journal.jsonl", kind) for kind in ("a link to nothing", "a pipe", "a folder")),
    ],
)
def test_what_stands_where_a_run_writes_in_place_is_refused(
    name: str, kind: str, made: tuple[Config, Run, bytes], victim: Path, tmp_path: Path
):
    config, run, content = made
    shutil.copytree(run.path, tmp_path / "runs" / run.key)
    again = replace(config, runs_folder=str(tmp_path / "runs"), training=replace(config.training, epochs=2))
    path = tmp_path / "runs" / run.key / name
    path.unlink(missing_ok=True)
    {
        "a link": lambda: path.symlink_to(victim),
        "a link to nothing": lambda: path.symlink_to(tmp_path / "nothing"),
        "a pipe": lambda: os.mkfifo(path),
        "a folder": path.mkdir,
    }[kind]()

    with pytest.raises(DataError, match=f"{path}: found {kind.removesuffix(' to nothing')}, expected a regular file"):
        run_stages(again)

    assert victim.read_bytes() == VICTIM
    assert not (tmp_path / "nothing").exists()
    assert path.is_symlink() or not path.is_file()
    assert open_run(again).published.read_bytes() == content


@pytest.mark.parametrize("name", ["finished.json", "code.json", "checkpoint.json"])
def test_a_pipe_among_the_files_of_a_finished_run_is_not_waited_for(
    name: str, made: tuple[Config, Run, bytes], tmp_path: Path
):
    config, run, content = made
    shutil.copytree(run.path, tmp_path / "runs" / run.key)
    path = tmp_path / "runs" / run.key / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)

    restored = run_stages(replace(config, runs_folder=str(tmp_path / "runs")))

    assert Path(restored.path).read_bytes() == content


@pytest.mark.parametrize("name", ["checkpoints", "data", "manifests", "results"])
def test_a_link_in_the_place_of_a_folder_of_a_run_is_refused(
    name: str, made: tuple[Config, Run, bytes], tmp_path: Path
):
    config, run, _ = made
    (tmp_path / "elsewhere").mkdir()
    plant(tmp_path / "runs" / run.key / name, tmp_path / "elsewhere")

    with pytest.raises(DataError, match=f"{name}: found a link, expected a folder or nothing"):
        run_stages(replace(config, runs_folder=str(tmp_path / "runs")))

    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("name", ["audit.jsonl", "lock"])
def test_a_link_where_a_registry_writes_in_place_is_refused(name: str, victim: Path, tmp_path: Path):
    registry = Registry(tmp_path / "models" / "rows")
    version = register(registry, "one")
    plant(registry.folder / name, victim)

    with pytest.raises(DataError, match=f"{registry.folder / name}: found a link"):
        registry.promote(version.digest)

    assert victim.read_bytes() == VICTIM


def test_a_link_at_the_pointer_or_a_version_is_replaced(victim: Path, tmp_path: Path):
    registry = Registry(tmp_path / "models" / "rows")
    version = register(registry, "one")
    plant(registry.folder / "champion.json", tmp_path / "nothing")
    for path in Path(version.path).parent.iterdir():
        plant(path, victim)

    assert crown(registry, "one", None) == version

    assert victim.read_bytes() == VICTIM
    assert registry.champion() == version
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("name", ["worker.log", "worker.pid"])
def test_a_link_at_the_log_of_a_service_is_refused(name: str, victim: Path, tmp_path: Path):
    plant(tmp_path / "services" / name, victim)

    with pytest.raises(DataError, match=f"{name}: found a link"):
        Service("worker", tmp_path / "services").start(["true"], {})

    assert victim.read_bytes() == VICTIM


def test_a_file_of_ones_own_is_private_and_appended_to(tmp_path: Path):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append("one")
    journal.append("two")

    assert [event["event"] for event in journal.events()] == ["one", "two"]
    assert journal.path.stat().st_mode & 0o777 == 0o600


def test_a_device_is_not_read(tmp_path: Path):
    (tmp_path / "zeros").symlink_to("/dev/zero")

    with pytest.raises(DataError, match="zeros: found a device"):
        own_files.read(tmp_path / "zeros")
