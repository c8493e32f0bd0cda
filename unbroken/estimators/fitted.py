"""The model of a fitted estimator: the published checkpoint itself, so that it travels with the estimator."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from unbroken.errors import CorruptCheckpointError
from unbroken.pipeline import TrainedModel
from unbroken.serving.prediction import Predictor, load_predictor
from unbroken.storage import atomic
from unbroken.storage.publication import require_manifest


@dataclass(frozen=True, kw_only=True)
class FittedModel:
    """A published model as bytes: pickled with its estimator, it is checked like any other when it is loaded.

    Attributes:
        digest: SHA-256 of the checkpoint.
        path: Where the run keeps it; None where the estimator has no `run_dir`.
        factory: What builds the network.
        checkpoint: The bytes of `checkpoint.pth`.
        manifest: The bytes of the manifest beside it.
    """

    digest: str
    path: Path | None
    factory: str
    checkpoint: bytes = field(repr=False)
    manifest: bytes = field(repr=False)

    @classmethod
    def of(cls, model: TrainedModel, *, kept: bool) -> "FittedModel":
        """Read what a training published; `kept` says whether its folder stays."""
        content = model.path.read_bytes()
        if (digest := atomic.digest(model.path)) != model.digest:
            raise CorruptCheckpointError(f"{model.path}: found SHA-256 {digest}, expected {model.digest}. Fit again")
        manifest = require_manifest(model.path, digest).read_bytes()
        path = model.path if kept else None
        return cls(digest=digest, path=path, factory=model.factory, checkpoint=content, manifest=manifest)

    def save(self, folder: str | Path) -> Path:
        """Write `checkpoint.pth` and its manifest into a folder, durably, and return the path of the first."""
        path = Path(folder) / "checkpoint.pth"
        atomic.write(path.with_suffix(".json"), self.manifest)
        atomic.write(path, self.checkpoint)
        return path

    @cached_property
    def predictor(self) -> Predictor:
        """The model, loaded."""
        with TemporaryDirectory(prefix="unbroken-") as folder:
            return load_predictor(self.save(folder), factory=self.factory)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "predictor"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
