"""A run has the name that a person gives it, and every command takes it."""

from pathlib import Path

import pytest

from tests.unit.catalog.runs import settings, trained
from unbroken.catalog.lookup import find_run
from unbroken.config import Config, RetrainConfig
from unbroken.errors import ConfigError
from unbroken.pipeline import train
from unbroken.run import open_run
from unbroken.run_name import give_name, read_name


@pytest.mark.parametrize("name", ["", ".hidden", "-x", "a/b", "a b", "x" * 65, "0123456789abcdef", "é", "a\n"])
def test_what_looks_like_a_path_an_option_or_a_key_is_no_name(name: str):
    with pytest.raises(ConfigError, match=r"^name: found .*, expected 1 to 64 letters"):
        Config(name=name)


def test_a_name_is_no_part_of_what_a_run_is(tmp_path: Path):
    assert open_run(settings(tmp_path)).key == open_run(settings(tmp_path, name="first")).key


def test_a_finished_run_that_is_trained_again_under_another_name_is_called_so(tmp_path: Path):
    run = trained(tmp_path, name="first")
    before = (run / "checkpoint.pth").stat().st_mtime_ns
    assert read_name(run) == "first"

    assert trained(tmp_path, name="second") == run
    assert (read_name(run), (run / "checkpoint.pth").stat().st_mtime_ns) == ("second", before)
    assert trained(tmp_path) == run
    assert read_name(run) == "second"


def test_a_name_that_another_run_has_is_refused_before_anything_is_written(tmp_path: Path):
    run = trained(tmp_path, name="first")
    config = settings(tmp_path, name="first", seed=1)

    with pytest.raises(ConfigError, match=rf"^name: found first, which {run} has; .*unbroken runs name {run.name} "):
        train(config)
    assert [path.name for path in run.parent.iterdir()] == [run.name]


def test_a_round_of_retraining_takes_no_name(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"^train\.name: found 'first', expected none"):
        RetrainConfig(train=settings(tmp_path, name="first"))


def test_a_run_is_found_by_name_key_prefix_and_folder(tmp_path: Path):
    run = trained(tmp_path, name="first")
    for word in ("first", run.name, run.name[:4], str(run), f"{run}/"):
        assert find_run(word, run.parent) == run


def test_an_ambiguous_or_unknown_word_names_the_runs_there_are(tmp_path: Path):
    run, other = trained(tmp_path, name="first"), trained(tmp_path, seed=1)
    with pytest.raises(ConfigError, match=rf"found '', .*|found , which .*{run.name} \(first\)"):
        find_run("", run.parent)
    with pytest.raises(ConfigError, match=r"^run: found 'nope', .*first.*See: unbroken runs"):
        find_run("nope", run.parent)
    with pytest.raises(ConfigError, match="there is none in"):
        find_run("nope", tmp_path / "elsewhere")
    (other / "name").write_text("first\n")
    with pytest.raises(ConfigError, match=f"{min(run.name, other.name)}.*{max(run.name, other.name)}"):
        find_run("first", run.parent)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"../../etc", b"x" * 5000, b"two\nlines"])
def test_a_name_file_of_another_hand_names_nothing(content: bytes, tmp_path: Path):
    (tmp_path / "name").write_bytes(content)
    assert read_name(tmp_path) is None


def test_a_name_is_not_written_through_a_link(tmp_path: Path):
    outside, run = tmp_path / "outside", tmp_path / "run"
    outside.write_text("untouched")
    run.mkdir()
    (run / "name").symlink_to(outside)
    give_name(run, "first")
    assert (outside.read_text(), read_name(run), (run / "name").is_symlink()) == ("untouched", "first", False)
