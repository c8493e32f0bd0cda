"""What a run stores is private to its owner, and holds no secret."""

import logging
import os
import stat
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import fsspec
import fsspec.config
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pydantic import TypeAdapter, ValidationError

from tests.contract import run_stages, write_rows
from unbroken.config import Config, DataConfig, ModelConfig, PredictConfig, TrainingConfig
from unbroken.errors import ConfigError
from unbroken.run import open_run

SECRET = "correct-horse-battery-staple"


def configured(source: str, folder: Path) -> Config:
    return Config(
        data=DataConfig(source=source),
        model=ModelConfig(options={"hidden": [4]}),
        training=TrainingConfig(epochs=2, batch_size=16),
        runs_folder=str(folder / "runs"),
    )


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Generator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_folders_and_files_of_a_run_are_private_whatever_the_umask(umask: int, tmp_path: Path):
    config = configured(write_rows(tmp_path / "rows.parquet", "binary", rows=60), tmp_path)

    run_stages(config)

    run = open_run(config)
    modes = {str(path.relative_to(run.path)): _mode(path) for path in [run.path, *run.path.rglob("*")]}
    folders = {name: mode for name, mode in modes.items() if (run.path / name).is_dir()}
    files = {name: mode for name, mode in modes.items() if name not in folders}
    assert {name: oct(mode) for name, mode in folders.items() if mode != 0o700} == {}
    assert {name: oct(mode) for name, mode in files.items() if mode != 0o600} == {}
    assert {
        "checkpoint.pth",
        "checkpoint.json",
        "run.json",
        "journal.jsonl",
        "lock",
        "data/scaler.json",
    } <= files.keys()


def test_a_runs_folder_that_exists_keeps_its_mode(tmp_path: Path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs").chmod(0o755)

    run_stages(configured(write_rows(tmp_path / "rows.parquet", "binary", rows=60), tmp_path))

    assert _mode(tmp_path / "runs") == 0o755


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class Vault(MemoryFileSystem):
    """A file system that wants a password, as its users give it: in fsspec's settings from the environment."""

    protocol = "vault"
    store: dict = {}  # noqa: RUF012 (MemoryFileSystem shares its own so)
    pseudo_dirs: list = [""]  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.replace("vault://", "memory://"))

    def __init__(self, password: str = "", **options: object) -> None:
        super().__init__(**options)
        assert password == SECRET


def test_credentials_from_the_environment_reach_the_file_system_and_nothing_that_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    fsspec.register_implementation("vault", Vault, clobber=True)
    monkeypatch.setitem(fsspec.config.conf, "vault", {"password": SECRET})
    rows = Path(write_rows(tmp_path / "rows.parquet", "binary", rows=60)).read_bytes()
    fsspec.filesystem("vault").pipe("/bucket/rows.parquet", rows)
    config = configured("vault://bucket/rows.parquet", tmp_path)

    with caplog.at_level(logging.DEBUG):
        run_stages(config)

    stored = {path: path.read_bytes() for path in open_run(config).path.rglob("*") if path.is_file()}
    assert len(stored) > 8
    assert [str(path) for path, content in stored.items() if SECRET.encode() in content] == []
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "source",
    [
        f"s3://user:{SECRET}@bucket/a.parquet",
        f"sftp://{SECRET}@host/a.csv",
        f"https://host/a.parquet?X-Amz-Signature={SECRET}",
        f"abfs://container/a.parquet?sv=2020&sig={SECRET}",
        f"simplecache::s3://user:{SECRET}@bucket/a.parquet",
        f"https://host/a.parquet?{SECRET}",
        f"HTTPS://host/a.parquet?{SECRET}",
        f"https://host/a.parquet#{SECRET}",
        f"s3://bucket/a.parquet#{SECRET}",
        f"s3://user:{SECRET[:3]}/{SECRET[3:]}@bucket/a.parquet",
        f"s3://user:12/{SECRET}@bucket/a.parquet",
        f"abfs://container:{SECRET}@account.dfs.core.windows.net/a.parquet",
        f"s3://bucket/a.parquet?a/b=c&d={SECRET}",
    ],
)
def test_a_source_with_credentials_is_refused_without_repeating_them(source: str):
    with pytest.raises(ConfigError, match=r"data\.source: found credentials or a query in a .* URL") as refused:
        DataConfig(source=source)
    with pytest.raises(ValidationError) as invalid:
        TypeAdapter(DataConfig).validate_python({"source": source})

    assert SECRET not in str(refused.value)
    assert SECRET not in str(invalid.value)
    assert refused.value.__cause__ is None


def test_a_local_path_may_have_such_marks():
    for path in ("/data/a@b/c.parquet", "file:///data/a@b/c.parquet", "s3://bucket/year=?/a.parquet", "/a?b=c.csv"):
        assert DataConfig(source=path).source == path


@pytest.mark.parametrize("scheme", ["abfs", "abfss", "wasbs"])
def test_the_container_of_an_azure_url_is_no_user(scheme: str):
    url = f"{scheme}://container@account.dfs.core.windows.net/year=2020/?.parquet"
    assert DataConfig(source=url).source == url


@pytest.mark.parametrize("name", ["source", "model", "target"])
def test_no_setting_of_a_prediction_takes_credentials(name: str):
    with pytest.raises(ConfigError, match=f"{name}: found credentials") as refused:
        replace(PredictConfig(), **{name: f"s3://user:{SECRET}@bucket/a.parquet"})

    assert SECRET not in str(refused.value)
