"""Is a published model used by the code that trained it? If not, its recorded outputs decide."""

import json
import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from unbroken.code.record import Code, CodeRecord, installed_version, model_modules, naming_change, present_code
from unbroken.code.source import library_digest
from unbroken.errors import CheckpointMismatchError, CodeChangedError, ConfigError, DataError
from unbroken.evaluation.self_check import SelfCheck, difference
from unbroken.features.encoder import Encoder
from unbroken.serving.computing import compute_in_order
from unbroken.storage.artifact import from_json
from unbroken.storage.publication import find_manifest, read_manifest

log = logging.getLogger(__name__)

CLOSE = 1e-5
"""Largest relative difference of outputs with which other code goes on: last bits, as another build of torch gives them."""

WAYS_OUT = "Use it with that version, go on by --resume.accept_code true, or train it anew with this one"


@dataclass(frozen=True, kw_only=True)
class CodeCheck:
    """What the manifest of a published model says of its code, beside the code of this process.

    Attributes:
        file: The checkpoint.
        known: Whether the manifest names the code at all.
        same: Whether every source file is the same, so that there is nothing to check.
        change: A sentence about how the code that decides bits has changed; None if it has not.
        check: The rows with their recorded outputs, if there are any.
    """

    file: Path
    known: bool
    same: bool
    change: str | None
    check: SelfCheck | None

    @classmethod
    def read(cls, file: Path, digest: str, factory: str) -> "CodeCheck":
        """Read what lies beside a checkpoint of that SHA-256; raise DataError if a manifest is not whole."""
        path = find_manifest(file, digest)
        manifest = read_manifest(path) if path else {}
        record, check = _code_record(manifest, path or file), manifest.get("self_check")
        code = record.latest.code
        same = (
            isinstance(check, dict)
            and code is not None
            and (check.get("source"), code.torch, code.own)
            == (library_digest(), installed_version("torch"), model_modules(factory))
        )
        change = None if same else record.change(present_code(factory))
        return cls(file=file, known=code is not None, same=same, change=change, check=check)

    def explaining(self) -> AbstractContextManager[None]:
        """Name the other code in an error of building the model anew."""
        return naming_change(self.change if self.known else None, WAYS_OUT, (CheckpointMismatchError, ConfigError))

    def require_outputs(self, model: nn.Module, encoder: Encoder, threads: int, *, accept: bool) -> None:
        """Warn of other code, and refuse it where the model's outputs are no more those that were recorded.

        Args:
            model: The model, on the CPU.
            encoder: Its encoder.
            threads: How many it was trained with.
            accept: Whether to go on with other outputs too.

        Raises:
            CodeChangedError: They differ.
        """
        if self.same:
            return
        if not self.known:
            log.warning("%s: carries no digest of the code that trained it: its outputs are not checked", self.file)
            return
        if self.check is None:
            if self.change:
                log.warning("%s: %s. No outputs were recorded to check it by", self.file, self.change)
            return
        change = self.change or "the code that scores is not that of its publication"
        distance, reason = self._distance(self.check, model, encoder, threads)
        if distance == 0:
            if self.change:
                log.warning("%s: %s. Its recorded outputs are equal to the bit", self.file, change)
            return
        text = f"{self.file}: {change}. {reason}"
        if distance > CLOSE and not accept:
            raise CodeChangedError(f"{text}, more than {CLOSE:g}. {WAYS_OUT}")
        log.warning("%s", text)

    def _distance(self, check: SelfCheck, model: nn.Module, encoder: Encoder, threads: int) -> tuple[float, str]:
        try:
            distance = difference(check, model, encoder, str(self.file), partial(compute_in_order, threads))
        except DataError as error:
            return float("inf"), f"Its recorded rows are refused: {error}"
        return distance, f"Its recorded outputs differ by {distance:.1g} of their size"


def recorded_code(file: Path, digest: str) -> Code | None:
    """Return the code that trained a published checkpoint of that SHA-256, None if it is not recorded; raise DataError."""
    path = find_manifest(file, digest)
    return _code_record(read_manifest(path), path).latest.code if path else None


def _code_record(manifest: dict[str, Any], path: Path) -> CodeRecord:
    lineage = manifest.get("lineage")
    segments = lineage.get("code", []) if isinstance(lineage, dict) else []
    return from_json(CodeRecord, json.dumps({"segments": segments}).encode(), f"{path}: lineage.code")
