"""Predictions that stand: by version and content of the rows, never computed twice, never those of another version."""

import json
import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.retraining.monthly import arrives, config_for, month, registry, retrain
from unbroken.config import PredictConfig
from unbroken.errors import ConfigError, DataError
from unbroken.pipeline import predict
from unbroken.serving.prediction import load_predictor
from unbroken.serving.standing import Predictions, predictions_in, version_folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Promote a model on the rows of January."""
    monkeypatch.chdir(tmp_path)
    arrives(tmp_path, "january.parquet", month(1))
    assert retrain(config_for(tmp_path)).verdict.promote
    return tmp_path


def score(**settings: object) -> Predictions:
    return predict(PredictConfig(model="models/toy", **settings))  # ty: ignore[invalid-argument-type]


def february(project: Path) -> str:
    """Promote another version on the rows of February, and return its digest."""
    arrives(project, "february.parquet", month(2))
    config = config_for(project, settings={"replay": 0.0})
    decision = retrain(config)
    if not decision.verdict.promote:
        registry(config).promote(decision.challenger.digest)
    return decision.challenger.digest


def test_predictions_lie_by_model_version_and_content_with_what_they_are_made_of_beside_them(project: Path):
    done = score(source="in/january.parquet", keep=("code",))

    folder = Path("predictions", "toy", done.model[:16])
    manifest = json.loads(Path(done.path).with_suffix(".json").read_text())
    assert Path(done.path).parent == folder
    assert Path(done.path).name == f"january-{manifest['source_sha256'][:8]}.parquet"
    assert (manifest["source"], manifest["keep"], manifest["device"]) == ("in/january.parquet", ["code"], "cpu")
    assert manifest["predictions"] == {
        "path": Path(done.path).name,
        "digest": done.digest,
        "rows": 400,
        "model": done.model,
    }
    scores = pq.read_table(done.path).drop_columns(["code"])
    assert scores.equals(load_predictor("models/toy").predict(month(1)))


def test_what_stands_is_not_computed_again(project: Path, caplog: pytest.LogCaptureFixture):
    first = score(source="in/january.parquet")
    written = Path(first.path).stat().st_mtime_ns

    with caplog.at_level(logging.INFO):
        again = score(source=str(project / "in" / "january.parquet"))

    assert again == first
    assert Path(first.path).stat().st_mtime_ns == written
    assert f"{first.path}: stands already" in caplog.text


@pytest.mark.parametrize("damage", ["rows", "manifest", "no manifest", "other columns"])
def test_what_does_not_stand_is_computed_anew(damage: str, project: Path):
    first = score(source="in/january.parquet", keep=("x",) if damage == "other columns" else ())
    path = Path(first.path)
    match damage:
        case "rows":
            content = bytearray(path.read_bytes())
            content[len(content) // 3] ^= 1
            path.write_bytes(content)
        case "manifest":
            path.with_suffix(".json").write_text(path.with_suffix(".json").read_text().replace("january", "february"))
        case "no manifest":
            path.with_suffix(".json").unlink()

    again = score(source="in/january.parquet")

    assert pq.read_table(again.path).equals(load_predictor("models/toy").predict(month(1)))
    assert [entry.predictions.digest for entry in predictions_in(path.parent)] == [again.digest]


def test_another_content_of_a_source_has_predictions_of_its_own(project: Path):
    first = score(source="in")
    arrives(project, "february.parquet", month(2))

    second = score(source="in")

    assert (first.rows, second.rows) == (400, 800)
    assert Path(first.path).parent == Path(second.path).parent
    assert Path(first.path).is_file()
    assert first.path != second.path


def test_without_a_source_the_files_of_the_last_round_are_scored_and_no_others(project: Path):
    february(project)
    arrives(project, "march.parquet", month(3))

    done = score()

    assert Path(done.path).name.startswith("february-")
    assert pq.read_table(done.path).equals(load_predictor("models/toy").predict(month(2)))


def test_a_rollback_leaves_the_predictions_of_both_and_scores_the_last_rows_by_the_old_champion(project: Path):
    before = score()
    later = february(project)
    promoted = score()
    registry(config_for(project)).rollback()

    rolled_back = score()

    assert (promoted.model, rolled_back.model) == (later, before.model)
    assert [Path(done.path).name.partition("-")[0] for done in (before, promoted, rolled_back)] == [
        *("january", "february", "february")
    ]
    assert len({done.path for done in (before, promoted, rolled_back)}) == 3
    assert pq.read_table(rolled_back.path).equals(load_predictor("models/toy").predict(month(2)))


def test_files_of_the_last_round_that_are_gone_are_named(project: Path):
    (project / "in" / "january.parquet").rename(project / "in" / "winter.parquet")

    with pytest.raises(DataError, match=r"january\.parquet: is gone since the last round"):
        score()


def test_without_a_source_and_without_a_round_what_is_missing_is_named(project: Path):
    champion = registry(config_for(project)).champion()
    assert champion is not None

    with pytest.raises(ConfigError, match=r"source: found nothing, expected a path.*no round of retraining"):
        predict(PredictConfig(model=champion.path))


def test_a_target_that_is_named_is_written_and_nothing_else(project: Path):
    done = score(source="in/january.parquet", target="scores.parquet")

    assert done.path == "scores.parquet"
    assert not Path("predictions").exists()


def test_a_file_that_holds_no_predictions_is_not_overwritten(project: Path):
    done = score(source="in/january.parquet")
    Path(done.path).with_suffix(".json").unlink()
    pq.write_table(pa.table({"thesis": ["years of work"]}), done.path)

    with pytest.raises(DataError, match="found a file that holds no predictions"):
        score(source="in/january.parquet")


def test_a_version_named_by_its_file_has_the_folder_of_its_model(project: Path):
    champion = registry(config_for(project)).champion()
    assert champion is not None

    by_file, by_model = (
        version_folder(PredictConfig(model=model), champion.digest) for model in (champion.path, "models/toy/")
    )

    assert by_file == by_model == Path("predictions", "toy", champion.digest[:16])
