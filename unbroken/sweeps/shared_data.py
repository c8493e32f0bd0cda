"""The rows of a sweep, prepared once and shared by its trials as further names of the same files."""

import hashlib
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from unbroken.config import Config
from unbroken.data.dataset import Dataset, SplitDatasets
from unbroken.errors import DataError
from unbroken.pipeline import Prepared
from unbroken.run import Run
from unbroken.stages.load_data import load_data, read_manifest
from unbroken.stages.preprocess import preprocess
from unbroken.stages.results import Preprocessed
from unbroken.stages.split import split_dataset
from unbroken.storage import atomic, own_files
from unbroken.storage.artifact import Artifact, artifacts_in, from_json, to_json, verify
from unbroken.sweeps.sweep import Sweep

FOLDER, RESULT = "prepared", "prepared.json"
Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """What stages 1 to 3 gave; the paths are relative to their folder where it lies on disk."""

    dataset: Dataset
    preprocessed: Preprocessed
    splits: SplitDatasets


@dataclass(frozen=True, slots=True)
class SharedData:
    """The prepared rows of a sweep: by the settings of preprocessing, if trials differ in these."""

    sweep: Sweep
    known: dict[str, PreparedData] = field(default_factory=dict)
    """What this process has found whole."""

    def share(self, config: Config, run: Run) -> Prepared:
        """Return the prepared rows of a run, which lie in its own folder, without preparing them again.

        Raises:
            DataError: The rows cannot be prepared, or have changed.
        """
        folder = self._folder(config)
        prepared = self._prepared(config, folder)
        for file in sorted((folder / "data").iterdir()):
            if file.is_file() and not file.name.startswith("."):
                _link(file, run.data / file.name)
        dataset = _relocated_manifest(prepared.dataset, folder, run)
        moved = _with_paths(prepared, folder, run.path)
        return Prepared(config=config, run=run, dataset=dataset, preprocessed=moved.preprocessed, splits=moved.splits)

    def _folder(self, config: Config) -> Path:
        digest = hashlib.sha256(to_json(config.chosen.preprocess)).hexdigest()[:16]
        return self.sweep.path / FOLDER / digest

    def _prepared(self, config: Config, folder: Path) -> PreparedData:
        if (known := self.known.get(folder.name)) is not None:
            return known
        atomic.make_folder(folder.parent)
        with own_files.lock(folder.with_suffix(".lock")):
            prepared = _read(folder) or self._prepare(config, folder)
        self.known[folder.name] = prepared
        return prepared

    def _prepare(self, config: Config, folder: Path) -> PreparedData:
        """Run stages 1 to 3."""
        sweep, chosen = self.sweep, config.chosen
        run = Run(key=folder.name, folder=str(folder), fingerprint=sweep.fingerprint, parent=sweep.parent)
        dataset = load_data(config.data, run)
        preprocessed = preprocess(dataset, chosen.preprocess, chosen.split, run, config.start)
        splits = split_dataset(preprocessed, chosen.split, run)
        prepared = PreparedData(dataset=dataset, preprocessed=preprocessed, splits=splits)
        atomic.write(folder / RESULT, to_json(_with_paths(prepared, folder, Path()), indent=1))
        return prepared


def _read(folder: Path) -> PreparedData | None:
    """Return what was prepared in a folder; None if that has not come to its end, or is not whole any more."""
    path = folder / RESULT
    if not path.is_file():
        return None
    try:
        prepared = _with_paths(from_json(PreparedData, own_files.read(path), str(path)), Path(), folder)
        if any(folder not in Path(artifact.path).parents for artifact in artifacts_in(prepared)):
            return None
        verify(prepared)
    except DataError:
        return None  # made anew
    return prepared


def _with_paths(value: Value, before: Path, now: Path) -> Value:
    """Return a value whose files lie in another folder."""
    changes: dict[str, Any] = {}
    if isinstance(value, Artifact):
        changes["path"] = str(now / Path(value.path).relative_to(before))
    for name, part in vars(value).items():
        if part is not None and any(True for _ in artifacts_in(part)):
            changes[name] = _with_paths(part, before, now)
    return replace(value, **changes)  # ty: ignore[invalid-argument-type]


def _relocated_manifest(dataset: Dataset, folder: Path, run: Run) -> Dataset:
    """Write the manifest of the rows, with the places that copies of CSV files have in the folder of a run."""
    manifest = read_manifest(dataset)
    files = tuple(
        replace(file, url=str(run.path / Path(file.url).relative_to(folder)))
        if folder in Path(file.url).parents
        else file
        for file in manifest.files
    )
    path = run.data / Path(dataset.path).name
    content = to_json(replace(manifest, files=files), indent=1)
    atomic.write(path, content)
    return replace(dataset, path=str(path), digest=atomic.digest(path))


def _link(source: Path, target: Path) -> None:
    """Give a file another name; a copy where the file system does not let two names share one."""
    if target.is_file() and not target.is_symlink() and target.samefile(source):
        return
    atomic.make_folder(target.parent)
    target.unlink(missing_ok=True)
    try:
        with suppress(FileExistsError):  # another process was first
            os.link(source, target, follow_symlinks=False)
    except OSError:
        with open(source, "rb") as content, atomic.replacing(target) as copy:
            shutil.copyfileobj(content, copy)
