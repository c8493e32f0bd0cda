"""`unbroken registry card` and `bom`: what the run and the decisions know of a version, beside its checkpoint."""

import json
from pathlib import Path

import pytest

from tests.unit.retraining.monthly import arrives, config_for, month, registry, retrain
from unbroken.cli.main import answer


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Promote a first version, and decide about a second."""
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        arrives(tmp_path, f"{number}.parquet", month(number))
        retrain(config_for(tmp_path))
    return tmp_path


def test_card_and_bill_say_what_is_known_and_leave_the_registry_as_it_is(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    models = registry(config_for(project))
    before = {path: path.read_bytes() for path in models.folder.rglob("*") if path.is_file()}
    first, second = (event for event in models.history() if event.get("scores"))

    assert answer(["registry", "card", "toy", "--version", first["challenger"][:8]]) == 0
    assert answer(["registry", "bom", "toy", "--version", second["challenger"][:8]]) == 0

    made = {path for path in models.folder.rglob("*") if path.is_file()} - before.keys()
    assert {path: path.read_bytes() for path in before} == before
    card = next(path for path in made if path.name == f"{first['challenger']}.card.md").read_text()
    assert f"| SHA-256 | `{first['challenger']}` |" in card
    assert "| predicts | `y` |" in card
    assert "| metric | this model | constant guess" in card
    assert "of a constant guess, a gain of +" in card
    assert "| leak | number | " in card
    assert "## Limits\n\n- " in card
    assert "| new data | `1.parquet` |" in card
    bill = json.loads(next(path for path in made if path.name == f"{second['challenger']}.bom.json").read_text())
    assert bill["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": second["challenger"]}]
    assert [part["name"] for part in bill["components"]] == ["training data", "unbroken", "torch", "python", "toy"]
    assert bill["components"][-1]["hashes"][0]["content"] == first["challenger"]
    assert_valid(bill)
    out = capsys.readouterr().out.replace("\n", "")
    assert all(str(path.relative_to(project)) in out for path in made)


def assert_valid(bill: dict[str, object]) -> None:
    """Hold a bill against the schema of CycloneDX that comes with its library."""
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    validator = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(bill)) is None
    del bill["bomFormat"]
    assert validator.validate_str(json.dumps(bill)) is not None
