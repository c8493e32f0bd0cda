"""A secret in a URL is refused in every setting, and no message repeats it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unbroken.cli.main import answer
from unbroken.config import Config, DataConfig, PredictConfig, RetrainConfig, StartConfig, TrackingConfig
from unbroken.config.credentials import mask_urls, may_hold_credentials
from unbroken.errors import ConfigError

SECRET = "correct-horse-battery-staple"

WITH_SECRETS = [
    f"s3://user:{SECRET}@bucket/a.parquet",
    f"s3://{SECRET}@bucket/a.parquet",
    f"s3://bucket/a.parquet?{SECRET}",
    f"s3://bucket/folder?{SECRET}",
    f"s3://bucket/a.parquet?{SECRET}/x",
    f"gs://bucket/a.csv.gz?{SECRET}",
    f"https://host/a.parquet?{SECRET}",
    f"https://host/a.parquet#{SECRET}",
    f"abfs://container@account.dfs.core.windows.net/a.parquet#{SECRET}",
    f"https://user:a/{SECRET}@host/a.parquet",
    f"https://user:12/{SECRET}@host/a.parquet",
    f"s3://user:12?{SECRET}@host/a.parquet",
    f"https://user:a@{SECRET}@host/a.parquet",
    f"https://user:a%40%2F{SECRET}@host/a.parquet",
    f"s3://user:a::{SECRET}@bucket/a.parquet",
    f"https://bucket.s3.amazonaws.com/a.parquet?X-Amz-Expires=60&X-Amz-Signature={SECRET}",
    f"s3://bucket/a.parquet?X-Amz-Signature={SECRET}",
    f"https://account.blob.core.windows.net/container/a.parquet?sv=2020&sig={SECRET}",
    f"abfs://container@account.dfs.core.windows.net/a.parquet?sv=2020&sig={SECRET}",
    f"abfss://container:{SECRET}@account.dfs.core.windows.net/a.parquet",
    f"zip://a.parquet::https://user:{SECRET}@host/a.zip",
    f"https://[user:{SECRET}@host/a.parquet",
    f"s3:/user:{SECRET}@bucket/a.parquet",
    f"https:user:{SECRET}@host/a.parquet",
    f"//user:{SECRET}@host/a.parquet",
    f"user:{SECRET}@host/a.parquet",
]

WITHOUT = [
    "abfs://container@account.dfs.core.windows.net/year=2020/a.parquet",
    "abfss://container@account.dfs.core.windows.net/year=2020/?.parquet",
    "wasbs://container@account.blob.core.windows.net/a.parquet",
    "https://host:8080/a.parquet",
    "s3://bucket/a@b.parquet",
    "s3://bucket/year=202?",
    "s3://bucket/year=20??/part-*.parquet",
    "s3://bucket/part-?-of-10.parquet",
    "file:///data/a@b/c.parquet",
    "/data/a:b@c/d.parquet",
    "./a:b@c/d.parquet",
    "../u:x@y/z.parquet",
    "data/2020-01-01T00:00:00/a@b.parquet",
    "/a?b=c&d.csv",
]

SETTINGS: list[Callable[[str], Any]] = [
    lambda url: DataConfig(source=url),
    lambda url: TrackingConfig(uri=url),
    lambda url: PredictConfig(model=url),
    lambda url: PredictConfig(source=url),
    lambda url: PredictConfig(target=url),
    lambda url: RetrainConfig(model=url),
    lambda url: RetrainConfig(train=Config(data=DataConfig(source=url))),
]

LOCAL_SETTINGS: list[Callable[[str], Any]] = [
    lambda url: Config(runs_folder=url),
    lambda url: RetrainConfig(models_folder=url),
    lambda url: StartConfig(warm_from=url),
]


@pytest.mark.parametrize("url", WITH_SECRETS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_url_setting_refuses_a_secret_without_repeating_it(setting: Callable[[str], Any], url: str):
    with pytest.raises(ConfigError) as refused:
        setting(url)

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("url", [url for url in WITH_SECRETS if "://" in url])
@pytest.mark.parametrize("setting", LOCAL_SETTINGS)
def test_a_path_of_this_machine_is_no_url_and_the_url_is_not_repeated(setting: Callable[[str], Any], url: str):
    with pytest.raises(ConfigError) as refused:
        setting(url)

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("location", WITHOUT)
def test_a_location_without_a_secret_is_taken_and_shown_as_it_is(location: str):
    assert not may_hold_credentials(location)
    assert DataConfig(source=location).source == location
    assert mask_urls(f"{location}: no such file") == f"{location}: no such file"


def test_the_colons_of_an_address_are_no_chain():
    assert not may_hold_credentials("https://[::1]:8080/a.parquet")
    assert may_hold_credentials(f"https://user:{SECRET}@[::1]:8080/a.parquet")


@pytest.mark.parametrize("url", [url for url in WITH_SECRETS if not url.startswith(("//", "user:", "https:user"))])
def test_a_message_shows_no_more_of_such_a_url_than_its_scheme(url: str):
    for text in (url, str(Path(url)), repr([url])):
        assert SECRET not in mask_urls(f"found {text}, expected another")


URL = f"https://user:{SECRET}@host/a.parquet"


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--no-orchestrator", "--data.source", URL],
        ["train", "--no-orchestrator", "--data", URL],
        ["train", "--no-orchestrator", "--data.label", URL, "--data.source", "sample"],
        ["train", "--no-orchestrator", "--model.factory", URL],
        ["train", "--no-orchestrator", "--model.options", URL],
        ["train", "--no-orchestrator", "--training.epochs", URL],
        ["train", "--no-orchestrator", "--training.epochs", f"https://host/a?X-Amz-Signature={SECRET}"],
        ["train", "--no-orchestrator", "--start.warm_from", URL],
        ["train", "--no-orchestrator", "--runs_folder", URL],
        ["train", "--no-orchestrator", "--tracking.uri", URL],
        ["train", "--config", URL],
        ["train", URL],
        ["predict", "--no-orchestrator", "--model", "models", "--source", URL],
        ["predict", "--no-orchestrator", "--model", URL, "--source", "rows.parquet"],
        ["retrain", "--no-orchestrator", "--model", "m", "--train.data.source", URL],
        ["retrain", "--no-orchestrator", "--model", "m", "--models_folder", URL],
        ["registry", "rollback", URL],
        ["registry", "--models_folder", URL, "rollback", "m"],
        ["runs", "list", URL],
        ["runs", "diff", URL, URL],
        ["track", "models", URL],
        ["init", URL],
    ],
)
def test_no_command_repeats_a_secret_at_the_terminal(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)

    code = answer(arguments)

    output = capfd.readouterr()
    assert code == 2
    assert output.err.startswith("error: ")
    assert SECRET not in output.out + output.err
