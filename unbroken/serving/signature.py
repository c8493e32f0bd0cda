"""Signed models: a signature of a published checkpoint and its manifest, in the format of OpenSSF Model Signing.

    <sha256>.pth   <sha256>.json   <sha256>.sig

The file beside them is a Sigstore bundle of the digests of both under their names, signed by a key (NIST P-256, P-384 or P-521).
So it cannot be put beside another checkpoint, and `model_signing verify key` reads it too.
"""

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unbroken.errors import ConfigError, SignatureError
from unbroken.serving.registry import VERSIONS
from unbroken.storage import atomic
from unbroken.storage.temporary import temporary_folder

SUFFIX = ".sig"
PUBLIC_KEY = "UNBROKEN_PUBLIC_KEY"
"""Path of the public key that versions of a registry are verified with, where none is given."""
WAY_OUT = (
    "Put the files back as they were promoted, give the key that signed them, or sign: registry promote --signing_key"
)


def sign(checkpoint: Path, private_key: Path) -> Path:
    """Sign a checkpoint and the manifest beside it; return the path of the signature.

    Args:
        checkpoint: A version of a registry.
        private_key: A PEM file.

    Raises:
        ConfigError: The key cannot be read, or `model-signing` is not installed.
    """
    config, target = signer(private_key), signature_path(checkpoint)
    with temporary_folder(checkpoint.parent, "sign") as folder:
        config.set_hashing_config(_TwoFiles(checkpoint)).sign(checkpoint.parent, folder / target.name)
        atomic.write(target, (folder / target.name).read_bytes())
    return target


def signer(private_key: Path) -> Any:
    """Return what signs with a key; raise ConfigError as `sign` does."""
    setting = "promotion.signing_key"
    signing = _library("signing", setting, private_key)
    try:
        return signing.Config().use_elliptic_key_signer(private_key=private_key)
    except (OSError, ValueError, TypeError) as error:
        raise _wrong_key(setting, private_key, "private", error) from error


def require_signature(checkpoint: Path, digest: str, public_key: Path) -> None:
    """Raise SignatureError unless a checkpoint and its manifest are signed by the owner of a key.

    Args:
        checkpoint: The checkpoint, its manifest and signature beside it.
        digest: The SHA-256 of the bytes that were read from it.
        public_key: A PEM file.

    Raises:
        ConfigError: The key cannot be read, or `model-signing` is not installed.
    """
    verifying, path = _library("verifying", "public_key", public_key), signature_path(checkpoint)
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except (OSError, ValueError, TypeError) as error:
        raise _wrong_key("public_key", public_key, "public", error) from error
    expected = f"expected one of {checkpoint.name} and its manifest by the owner of {public_key}. {WAY_OUT}"
    if not path.is_file():
        raise SignatureError(f"{path}: found no signature, {expected}")
    try:
        config.set_hashing_config(_TwoFiles(checkpoint)).verify(checkpoint.parent, path)
    except Exception as error:  # of whatever type the library meets in a foreign file
        other = "a signature of other content" if "mismatch" in str(error) else f"no such signature ({error!r})"
        raise SignatureError(f"{path}: found {other}, {expected}") from error
    if atomic.digest(checkpoint) != digest:
        raise SignatureError(f"{checkpoint}: changed while it was verified. Load it again")


def public_key_of(path: str | None, checkpoint: Path, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the public key to verify a checkpoint with, None to verify nothing.

    Args:
        path: The one that is given.
        checkpoint: Where it is a version of a registry, the environment names the key.
        environment: The environment.
    """
    chosen = path or (environment.get(PUBLIC_KEY) if checkpoint.parent.name == VERSIONS else None)
    return Path(chosen) if chosen else None


def signature_path(checkpoint: Path) -> Path:
    """Return where the signature of a checkpoint lies: beside it."""
    return checkpoint.with_suffix(SUFFIX)


@dataclass(frozen=True, slots=True)
class _TwoFiles:
    """What takes the digests of a checkpoint and its manifest, and of nothing else in their folder, as the library asks for it."""

    checkpoint: Path

    def hash(self, folder: Path, **_: Any) -> Any:
        files = [self.checkpoint, self.checkpoint.with_suffix(".json")]
        return importlib.import_module("model_signing.hashing").Config().hash(folder, files_to_hash=files)

    def add_ignored_paths(self, **_: Any) -> None:
        """Leave nothing out, whatever a signature says."""


def _library(part: str, setting: str, key: Path) -> Any:
    """Import a part of model-signing, which brings network clients that nothing else here needs."""
    try:
        return importlib.import_module(f"model_signing.{part}")
    except ImportError as error:
        raise ConfigError(
            f"{setting}: found {str(key)!r}, expected none, since {error.name} is not installed: "
            f"pip install 'unbroken[signing]'"
        ) from error


def _wrong_key(setting: str, path: Path, kind: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"{setting}: {path}: found no {kind} key in PEM of the curve P-256, P-384 or P-521: {error}. Make a pair by: "
        f"openssl ecparam -name prime256v1 -genkey -noout -out key.pem; openssl ec -in key.pem -pubout -out key.pub.pem"
    )
