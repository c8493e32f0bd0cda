"""The registry: versions by digest, one pointer, an audit log that never misses a decision, rollback."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from unbroken.cli.main import answer
from unbroken.errors import CorruptCheckpointError, DataError, RegistryError
from unbroken.serving.registry import NOTHING_SEEN, Registry, Version, Watermark, champion_path
from unbroken.storage.artifact import Artifact

ROOT = Path(__file__).parents[3]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models" / "flights")


def register(registry: Registry, content: str) -> Version:
    """Register a version with this content."""
    folder = registry.folder.parent / "made"
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for name in ("checkpoint.pth", "checkpoint.json", "profile.json"):
        (folder / name).write_text(f"{name} {content}")
        parts.append(Artifact.of(folder / name))
    return registry.register(*parts)


def crown(registry: Registry, content: str, against: Version | None) -> Version:
    version = register(registry, content)
    registry.decide(
        version,
        promote=True,
        expected_champion=against.digest if against else None,
        expected_watermark=NOTHING_SEEN,
        watermark=NOTHING_SEEN,
        reason="better",
    )
    return version


def test_the_first_version_becomes_champion_and_its_content_is_its_name(registry: Registry):
    assert registry.champion() is None

    version = crown(registry, "one", None)

    assert registry.champion() == version
    assert Path(version.path).stem == version.digest
    assert Path(version.path).read_text() == "checkpoint.pth one"
    assert Path(version.path).with_suffix(".json").read_text() == "checkpoint.json one"
    assert Path(version.profile).read_text() == "profile.json one"
    assert champion_path(registry.folder) == Path(version.path)


def test_a_refused_challenger_leaves_the_champion_and_stays_to_be_looked_at(registry: Registry):
    champion = crown(registry, "one", None)
    loser = register(registry, "two")

    mark = Watermark(files=("b",))
    registry.decide(
        loser,
        promote=False,
        expected_champion=champion.digest,
        expected_watermark=NOTHING_SEEN,
        watermark=mark,
        reason="a tie",
    )

    assert registry.champion() == champion
    assert registry.pointer.watermark == mark
    assert Path(registry.version(loser.digest[:8]).path).read_text() == "checkpoint.pth two"
    last = registry.history()[-1]
    assert (last["event"], last["challenger"], last["reason"]) == ("kept the champion", loser.digest, "a tie")


def test_rollback_restores_the_earlier_bytes_and_can_go_further_back(registry: Registry):
    first = crown(registry, "one", None)
    second = crown(registry, "two", first)
    third = crown(registry, "three", second)
    assert registry.champion() == third

    registry.rollback()
    assert Path(champion_path(registry.folder)).read_text() == "checkpoint.pth two"
    registry.rollback()
    assert Path(champion_path(registry.folder)).read_text() == "checkpoint.pth one"
    with pytest.raises(RegistryError, match="no champion before this one"):
        registry.rollback()

    assert [event["event"] for event in registry.history()] == ["promoted"] * 3 + ["rolled back"] * 2


def test_rollback_keeps_what_was_seen_and_a_promotion_by_hand_goes_forward_again(registry: Registry):
    first = crown(registry, "one", None)
    second = register(registry, "two")
    mark = Watermark(files=("a", "b"), until="2013-02-01T00:00:00")
    registry.decide(
        second,
        promote=True,
        expected_champion=first.digest,
        expected_watermark=NOTHING_SEEN,
        watermark=mark,
        reason="better",
    )

    registry.rollback()
    assert registry.pointer.watermark == mark

    registry.promote(second.digest[:10])
    assert registry.champion() == second
    assert registry.pointer.champions == (first.digest, second.digest)


def test_a_decision_against_another_champion_changes_nothing(registry: Registry):
    first = crown(registry, "one", None)
    crown(registry, "two", first)
    late = register(registry, "three")
    before = (registry.folder / "champion.json").read_bytes(), registry.history()

    with pytest.raises(RegistryError, match=f"was compared with {first.digest}; run again"):
        registry.decide(
            late,
            promote=True,
            expected_champion=first.digest,
            expected_watermark=NOTHING_SEEN,
            watermark=NOTHING_SEEN,
            reason="better",
        )

    assert ((registry.folder / "champion.json").read_bytes(), registry.history()) == before


def test_a_second_decision_about_the_same_data_changes_nothing(registry: Registry):
    first = crown(registry, "one", None)
    second, third = register(registry, "two"), register(registry, "three")
    mark = Watermark(files=("a",))
    registry.decide(
        second, promote=False, expected_champion=first.digest, expected_watermark=NOTHING_SEEN, watermark=mark
    )

    with pytest.raises(RegistryError, match="another run has decided about these data meanwhile"):
        registry.decide(
            third, promote=True, expected_champion=first.digest, expected_watermark=NOTHING_SEEN, watermark=mark
        )

    assert registry.champion() == first
    assert len(registry.history()) == 2


def test_a_decision_whose_audit_line_was_lost_in_a_crash_is_written_by_the_next(registry: Registry):
    first = crown(registry, "one", None)
    crown(registry, "two", first)
    audit = registry.folder / "audit.jsonl"
    lines = audit.read_bytes().splitlines(keepends=True)
    audit.write_bytes(lines[0] + lines[1][:20])

    registry.rollback()

    assert [event["decision"] for event in registry.history()] == [1, 2, 3]
    assert [event["event"] for event in registry.history()] == ["promoted", "promoted", "rolled back"]


def test_a_version_whose_bytes_changed_is_no_champion(registry: Registry):
    version = crown(registry, "one", None)
    Path(version.path).write_text("checkpoint.pth other")

    with pytest.raises(CorruptCheckpointError, match="expected that of its name"):
        registry.champion()


def test_an_artifact_that_changed_since_it_was_made_is_not_registered(registry: Registry):
    version = register(registry, "one")
    changed = Artifact(path=str(registry.folder.parent / "made" / "checkpoint.pth"), digest="0" * 64)
    manifest, profile = (Artifact.of(Path(version.path).with_suffix(end)) for end in (".json", ".profile.json"))

    with pytest.raises(CorruptCheckpointError, match=r"checkpoint\.pth: found SHA-256 .*, expected 0000"):
        registry.register(changed, manifest, profile)

    assert not list((registry.folder / "versions").glob("0000*.pth"))


def test_a_pointer_that_is_no_pointer_is_named(registry: Registry):
    crown(registry, "one", None)
    (registry.folder / "champion.json").write_text('{"champions": 3}')

    with pytest.raises(DataError, match=r"champion\.json: not a whole Pointer: champions"):
        registry.champion()


@pytest.mark.parametrize("name", ["", "abc", "../../etc/passwd", "*", "ffffffff"])
def test_a_name_that_means_no_version_is_refused(registry: Registry, name: str):
    crown(registry, "one", None)

    with pytest.raises(RegistryError, match="found 0 versions named"):
        registry.version(name)


def test_the_folder_of_a_model_is_private(registry: Registry):
    version = crown(registry, "one", None)

    assert stat.S_IMODE(registry.folder.stat().st_mode) == 0o700
    assert all(
        stat.S_IMODE(Path(path).stat().st_mode) == 0o600 for path in (version.path, registry.folder / "champion.json")
    )


def test_processes_that_decide_at_the_same_time_each_decide_once(registry: Registry):
    versions = [register(registry, str(number)) for number in range(6)]
    command = [
        sys.executable,
        "-m",
        "unbroken.registry",
        "--models_folder",
        str(registry.folder.parent),
        "promote",
        "flights",
    ]
    started = [
        subprocess.Popen([*command, version.digest], cwd=ROOT, stdout=subprocess.DEVNULL, env=dict(os.environ))
        for version in versions
    ]

    assert [process.wait(timeout=120) for process in started] == [0] * 6

    assert sorted(registry.pointer.champions) == sorted(version.digest for version in versions)
    assert [event["decision"] for event in registry.history()] == [1, 2, 3, 4, 5, 6]
    assert [event["challenger"] for event in registry.history()] == list(registry.pointer.champions)


def test_the_command_line_rolls_back_and_tells_the_history(registry: Registry, capsys: pytest.CaptureFixture[str]):
    first = crown(registry, "one", None)
    crown(registry, "two", first)
    registry.note("blocked", data="may.parquet", reason="column temp: missing")
    folder = ["--models_folder", str(registry.folder.parent)]

    assert answer(["registry", *folder, "rollback", "flights"]) == 0
    assert first.digest in capsys.readouterr().out
    assert answer(["registry", *folder, "rollback", "flights"]) == 2
    assert "no champion before this one" in capsys.readouterr().err
    assert answer(["registry", *folder, "history", "flights"]) == 0
    output = capsys.readouterr().out
    assert "promoted: better" in output
    assert "blocked: column temp: missing" in output
    assert "rolled back" in output


def test_the_pointer_is_plain_json(registry: Registry):
    version = crown(registry, "one", None)

    content = json.loads((registry.folder / "champion.json").read_text())

    assert content["champions"] == [version.digest]
    assert content["last"]["event"] == "promoted"


def test_a_pointer_and_a_decision_written_by_an_earlier_version_are_read(registry: Registry):
    digest = "ab" * 32
    registry.folder.mkdir(parents=True)
    pointer = {
        "champions": [digest],
        "watermark": {"files": ["cd" * 32], "until": "2013-02-01T00:00:00"},
        "decisions": 1,
        "last": {"event": "promoted", "decision": 1, "challenger": digest, "champion": None, "reason": "better"},
    }
    (registry.folder / "champion.json").write_text(json.dumps(pointer))
    (registry.folder / "audit.jsonl").write_text(
        json.dumps({"time": "2013-02-01T00:00:00.000+00:00", **pointer["last"]})
    )

    assert registry.pointer.champion == digest
    assert registry.pointer.watermark == Watermark(files=("cd" * 32,), until="2013-02-01T00:00:00")
    assert [event["challenger"] for event in registry.history()] == [digest]
