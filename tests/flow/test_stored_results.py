"""Nothing that a flow stores is a pickle, and nothing that someone plants there is run."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import (
    PREFECT_HOME,
    PREFECT_LOCAL_STORAGE_PATH,
    PREFECT_RESULTS_PERSIST_BY_DEFAULT,
    temporary_settings,
)

from flows.predict import predict
from flows.retrain import retrain
from flows.train import train
from tests.flow.test_retrain import arrives, config_for
from tests.unit.orchestration.test_records import FORGERIES
from unbroken.config import Config, DataConfig, PredictConfig, TrainingConfig
from unbroken.errors import UnbrokenError

MARKS = (b'"pickle', b'pickle"', b"gASV", b"\x80\x04\x95", b"\x80\x05\x95")
"""Of records of pickles, of pickles in base64, and of pickles."""

pytestmark = pytest.mark.usefixtures("prefect_server")


def pickles_in(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pth"]
    assert files
    return [str(path) for path in files if any(mark in path.read_bytes() for mark in MARKS)]


def fail(_: PredictConfig) -> None:
    raise RuntimeError("a defect")


def test_no_flow_stores_a_pickle_whether_it_ends_or_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = config_for(tmp_path)
    source = arrives(tmp_path, "2024-01", 1)
    scores = PredictConfig(
        model=str(tmp_path / "models" / "rows"), source=str(source), target=str(tmp_path / "scores.parquet")
    )
    broken = replace(scores, source=str(tmp_path / "nothing.parquet"))
    storage: Any = {PREFECT_LOCAL_STORAGE_PATH: tmp_path / "storage", PREFECT_RESULTS_PERSIST_BY_DEFAULT: True}
    with temporary_settings(storage):
        retrain(config)
        predict(scores)
        with pytest.raises(UnbrokenError):
            predict(broken)
        with pytest.raises(UnbrokenError):
            retrain(replace(config, train=replace(config.train, data=DataConfig(source=broken.source))))
        monkeypatch.setattr("unbroken.pipeline.predict", fail)
        with pytest.raises(RuntimeError, match="a defect"):
            predict(scores)

    assert list((tmp_path / "storage").iterdir()), "what a flow fails with unforeseen is stored"
    assert pickles_in(tmp_path) == []
    assert pickles_in(PREFECT_HOME.value()) == []


@pytest.mark.slow
def test_what_is_planted_where_results_lie_is_not_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    target = tmp_path / "executed"
    (tmp_path / "planted_module.py").write_text(f"import pathlib\npathlib.Path({str(target)!r}).touch()\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = Config(
        data=DataConfig(source="sample"), training=TrainingConfig(epochs=1), runs_folder=str(tmp_path / "runs")
    )
    storage = tmp_path / "storage"
    storage.mkdir()
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: storage}):
        content = Path(train(config).path).read_bytes()
        arrives(tmp_path, "2024-01", 1)
        retraining = config_for(tmp_path)
        decision = retrain(retraining)
        records = sorted(tmp_path.glob("runs/*/results/*")) + sorted(tmp_path.glob("models/*/cycles/*/results/*"))
        assert len(records) == 6 + 6 + 3
        for number, path in enumerate(records):
            record = json.loads(path.read_bytes())
            FORGERIES[number % len(FORGERIES)](record, target)
            for planted in (path, storage / path.name):
                planted.write_text(json.dumps(record))
        (tmp_path / "models" / "rows" / "champion.json").unlink()

        with caplog.at_level(logging.WARNING, "unbroken"):
            again = train(config)
            assert retrain(retraining).challenger.digest == decision.challenger.digest

    assert not target.exists()
    assert Path(again.path).read_bytes() == content
    assert [str(path) for path in records if f"{path}: a stored result is not used" not in caplog.text] == []
