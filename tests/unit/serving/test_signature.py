"""Signed models: a winner is signed before it reigns; a champion that is not signed by the owner of the key is not loaded."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import unbroken
from tests.unit.retraining.monthly import arrives, config_for, month, registry, retrain
from unbroken.cli.main import answer
from unbroken.config import PredictConfig, PromotionConfig, RetrainConfig
from unbroken.errors import ConfigError, SignatureError
from unbroken.pipeline import predict
from unbroken.serving.signature import PUBLIC_KEY, sign
from unbroken.storage.sealed import seal, unseal

pytest.importorskip("model_signing")


def key_pair(folder: Path, name: str) -> tuple[str, str]:
    """Write a private and a public key and return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    paths = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    for path, content in zip(paths, (private, public), strict=True):
        path.write_bytes(content)
    return str(paths[0]), str(paths[1])


def signed_config(folder: Path, private: str | None) -> RetrainConfig:
    return replace(config_for(folder), promotion=PromotionConfig(signing_key=private))


def spoil_signature(path: Path) -> None:
    path.with_suffix(".sig").write_text("{}")


def spoil_manifest(path: Path) -> None:
    """Say something else, with a digest that fits: that alone does not give it away."""
    manifest = path.with_suffix(".json")
    content = unseal(manifest.read_bytes(), "", "format")
    manifest.write_bytes(seal(content.replace(b'"exact": true', b'"exact": false')))


def take_signature_away(path: Path) -> None:
    path.with_suffix(".sig").unlink()


def test_a_signed_champion_is_loaded_scored_and_verified_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    private, public = key_pair(tmp_path, "key")
    _, stranger = key_pair(tmp_path, "stranger")
    arrives(tmp_path, "1.parquet", month(1))
    first = retrain(signed_config(tmp_path, private))
    champion = Path(first.challenger.path)
    copy = tmp_path / "copy"
    shutil.copytree(champion.parent, copy)

    assert unbroken.load("models/toy", public_key=public).digest == champion.stem
    assert predict(PredictConfig(model="models/toy", public_key=public)).model == champion.stem
    assert answer(["registry", "verify", "toy", "--public_key", public]) == 0
    assert f"signed   the champion {champion.stem}" in capsys.readouterr().out

    with pytest.raises(SignatureError, match=r"expected one of .* by the owner of .*stranger"):
        unbroken.load("models/toy", public_key=stranger)
    wrongs: list[Callable[[Path], None]] = [spoil_signature, spoil_manifest, take_signature_away]
    for wrong in wrongs:
        shutil.copytree(copy, champion.parent, dirs_exist_ok=True)
        wrong(champion)
        with pytest.raises(SignatureError, match=r"\.sig: found "):
            unbroken.load("models/toy", public_key=public)
    monkeypatch.setenv(PUBLIC_KEY, public)
    with pytest.raises(SignatureError, match="found no signature"):
        unbroken.load("models/toy")
    assert answer(["registry", "verify", "toy"]) == 2
    assert "found no signature" in " ".join(capsys.readouterr().err.split())


def test_the_signature_of_another_version_does_not_pass(tmp_path: Path):
    private, public = key_pair(tmp_path, "key")
    for number in (1, 2):
        arrives(tmp_path, f"{number}.parquet", month(number))
        retrain(config_for(tmp_path))
    one, other = (Path(version.path) for version in registry(config_for(tmp_path)).versions())
    shutil.copy(sign(one, Path(private)), other.with_suffix(".sig"))

    assert unbroken.load(one, public_key=public).digest == one.stem
    with pytest.raises(SignatureError, match="found a signature of other content"):
        unbroken.load(other, public_key=public)


def test_a_key_that_is_of_no_use_ends_the_round_before_any_training(tmp_path: Path):
    arrives(tmp_path, "1.parquet", month(1))
    _, public = key_pair(tmp_path, "key")
    for wrong in (public, str(tmp_path / "nothing.pem")):
        with pytest.raises(ConfigError, match=r"promotion\.signing_key: .* found no private key in PEM"):
            retrain(signed_config(tmp_path, wrong))
    assert not (tmp_path / "runs").exists()
