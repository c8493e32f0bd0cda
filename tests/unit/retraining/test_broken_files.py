"""One broken file among new ones blocks the round, or is left out and named, as the settings say."""

import logging
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.retraining.monthly import arrives, config_for, month, registry, retrain
from unbroken.config import RetrainConfig
from unbroken.errors import BlockedError
from unbroken.retraining.new_data import find_new_data


def unreadable(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def without_a_column(path: Path) -> None:
    pq.write_table(month(3, x=None), path)


def without_labels(path: Path) -> None:
    pq.write_table(month(3, y=[None] * 10 + [0, 1] * 195), path)


def of_an_unknown_class(path: Path) -> None:
    pq.write_table(month(3, y=[7] + [0, 1] * 199 + [0]), path)


def of_another_kind(path: Path) -> None:
    pq.write_table(month(3, x=["many"] * 400), path)


BROKEN = {
    unreadable: "cannot be read",
    without_a_column: "no column x",
    without_labels: "expected a label in every row",
    of_an_unknown_class: "label y: found 7, expected one of",
    of_another_kind: "expected a number as in training",
}


def config(folder: Path, on_broken_file: str) -> RetrainConfig:
    return config_for(folder, settings={"on_broken_file": on_broken_file})


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("promoted")
    arrives(folder, "1.parquet", month(1))
    retrain(config_for(folder))
    arrives(folder, "2.parquet", month(2))
    arrives(folder, "3.parquet", month(3))
    return folder


@pytest.fixture
def project(promoted: Path, tmp_path: Path) -> Path:
    return shutil.copytree(promoted, tmp_path, dirs_exist_ok=True)


@pytest.mark.parametrize(("damage", "complaint"), BROKEN.items(), ids=lambda part: getattr(part, "__name__", ""))
def test_a_broken_file_is_left_out_named_and_looked_at_again(
    damage, complaint: str, project: Path, caplog: pytest.LogCaptureFixture
):
    damage(project / "in" / "3.parquet")

    with caplog.at_level(logging.WARNING):
        decision = retrain(config(project, "skip"))

    last = registry(config(project, "skip")).history()[-1]
    assert f"left out: {project / 'in' / '3.parquet'}" in caplog.text.replace("file://", "")
    assert complaint in last["left_out"][0]
    assert [Path(url).name for url in last["files"]] == ["2.parquet"]
    assert decision.verdict.rows == 80
    arrives(project, "3.parquet", month(3))
    cycle = find_new_data(config(project, "skip"))
    assert cycle is not None
    assert [Path(file.url).name for file in cycle.new] == ["3.parquet"]


@pytest.mark.parametrize("damage", [unreadable, of_an_unknown_class], ids=lambda part: part.__name__)
def test_a_broken_file_blocks_the_round_by_default(damage, project: Path):
    damage(project / "in" / "3.parquet")

    with pytest.raises(BlockedError, match=r"3\.parquet|2\.parquet \.\. 3\.parquet") as blocked:
        retrain(config_for(project))

    assert blocked.value.data == "2.parquet .. 3.parquet (2 files)"
    assert "champion" in blocked.value.rule
    assert registry(config_for(project)).history()[-1]["event"] == "blocked"


def test_a_round_whose_new_files_are_all_broken_is_blocked(project: Path):
    for name in ("2.parquet", "3.parquet"):
        unreadable(project / "in" / name)

    with pytest.raises(BlockedError, match=r"every new file is broken: .*2\.parquet: cannot be read.*3\.parquet"):
        retrain(config(project, "skip"))

    assert registry(config(project, "skip")).history()[-1]["event"] == "blocked"


def test_whole_files_are_all_taken(project: Path):
    assert retrain(config(project, "skip")).verdict.rows == 160


def test_an_unreadable_file_beside_the_first_champions_is_left_out(tmp_path: Path):
    arrives(tmp_path, "1.parquet", month(1))
    unreadable(arrives(tmp_path, "2.parquet", month(2)))

    assert retrain(config(tmp_path, "skip")).verdict.promote


def test_a_file_without_rows_is_whole(project: Path):
    pq.write_table(month(3).slice(0, 0), project / "in" / "3.parquet")

    assert retrain(config(project, "skip")).verdict.rows == 80


def test_text_for_a_time_is_a_broken_file(project: Path):
    settings = {"on_broken_file": "skip", "watermark_column": "day"}
    pq.write_table(month(3).set_column(3, "day", pa.array(["yesterday"] * 400)), project / "in" / "3.parquet")

    decision = retrain(config_for(project, settings=settings))

    assert [Path(url).name for url in registry(config_for(project)).history()[-1]["files"]] != []
    assert decision.verdict.rows < 160
