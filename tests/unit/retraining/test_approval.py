"""A winner that awaits approval: the champion stays until a person decides, whatever dies in between."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.retraining.monthly import arrives, config_for, month, registry, retrain
from unbroken.cli.main import answer
from unbroken.config import PromotionConfig, RetrainConfig
from unbroken.errors import RegistryError


def approved_config(folder: Path) -> RetrainConfig:
    return replace(config_for(folder), promotion=PromotionConfig(approve=True))


def test_a_winner_waits_until_it_is_approved_by_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    config = approved_config(tmp_path)
    arrives(tmp_path, "1.parquet", month(1))

    first = retrain(config)

    models = registry(config)
    assert (first.name, first.champion, models.champion()) == ("Awaiting approval", None, None)
    digest = first.challenger.digest
    assert str(first).endswith(
        f"approve or refuse by: unbroken registry --models_folder {tmp_path}/models approve|refuse toy {digest[:16]}"
    )
    assert answer(["registry", "approve", "toy", digest[:16]]) == 0
    assert f"toy: the champion is {digest}" in capsys.readouterr().out
    assert [event["event"] for event in models.history()] == ["awaits approval", "promoted"]
    assert models.history()[-1]["reason"] == "approved"
    assert models.pointer.champion == digest
    assert answer(["registry", "approve", "toy", digest[:16]]) == 0  # once more, as after a kill
    assert models.pointer.champions == (digest,)
    with pytest.raises(RegistryError, match="found 'promoted' of it last, expected 'awaits approval'"):
        models.refuse(digest)


def test_a_refused_winner_leaves_the_champion_and_one_that_won_against_another_is_not_approved(tmp_path: Path):
    config = approved_config(tmp_path)
    models = registry(config)
    for number in (1, 2):
        arrives(tmp_path, f"{number}.parquet", month(number))
        retrain(config)
    one, two = (event["challenger"] for event in models.history())
    assert [event["event"] for event in models.history()] == ["awaits approval"] * 2

    models.approve(one)
    with pytest.raises(RegistryError, match=f"the champion is {one}, but {two} won against None"):
        models.approve(two)
    models.refuse(two)

    assert models.pointer.champions == (one,)
    assert [event["event"] for event in models.history()[2:]] == ["promoted", "refused"]
    with pytest.raises(RegistryError, match="found 'refused' of it last"):
        models.approve(two)
