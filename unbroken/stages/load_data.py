"""Stage 1: check a source against one column contract and list its files in a manifest."""

from dataclasses import replace
from pathlib import Path

from unbroken.config import DataConfig
from unbroken.config.data import SAMPLE
from unbroken.contract.check import check_contract
from unbroken.csv.conversion import as_parquet
from unbroken.csv.reading import Reading
from unbroken.data import sample
from unbroken.data.dataset import Dataset, Manifest
from unbroken.data.footers import read_footers
from unbroken.data.sources import SourceFile, find_files, fingerprint_files
from unbroken.data.verification import read_digesting
from unbroken.errors import ChangedSourceError
from unbroken.run import Run, delete_on_bad_input
from unbroken.storage import atomic
from unbroken.storage.artifact import from_json, to_json, verify


def load_data(config: DataConfig, run: Run) -> Dataset:
    """Write the manifest of a source after checking every footer and every label.

    A Parquet source is not copied; CSV is converted once.

    Raises:
        ChangedSourceError: The source is not the one that names the run.
        DataError: The first thing that does not fit; a new run leaves nothing behind.
    """
    with delete_on_bad_input(run):
        manifest = _check_sample(config, run) if config.source == SAMPLE else _check_source(config, run)
        path = run.data / "dataset.json"
        atomic.write(path, to_json(manifest, indent=1))
    return Dataset(
        path=str(path), digest=atomic.digest(path), rows=manifest.rows, columns=len(manifest.schema.features)
    )


def read_manifest(dataset: Dataset) -> Manifest:
    """Read the manifest of a loaded dataset back; raise DataError if it is not the one that was written."""
    verify(dataset)
    return from_json(Manifest, Path(dataset.path).read_bytes(), dataset.path)


def _check_sample(config: DataConfig, run: Run) -> Manifest:
    path = run.data / "sample.parquet"
    sample.write(path)
    footers = read_footers([SourceFile(url=str(path), digest=atomic.digest(path))])
    return check_contract(footers, config, run.fingerprint)


def _check_source(config: DataConfig, run: Run) -> Manifest:
    files, reading = find_files(config.source), Reading.of(config)

    def check() -> Manifest:
        footers = read_footers(as_parquet(files, run.data, reading, prefix="source-"), reading.kinds)
        return check_contract(footers, config, run.fingerprint)

    def require_fingerprint(digested: list[SourceFile]) -> None:
        fingerprint = fingerprint_files(digested, [str(file.digest) for file in digested])
        if fingerprint != run.fingerprint:
            raise ChangedSourceError(
                f"{config.source}: changed while this run was starting: found content {fingerprint}, "
                f"expected {run.fingerprint}; run the same command again"
            )

    manifest, digested = read_digesting(files, check, require_fingerprint)
    known = {file.url: file for file in digested}
    return replace(manifest, files=tuple(_with_digest(file, known) for file in manifest.files))


def _with_digest(file: SourceFile, known: dict[str, SourceFile]) -> SourceFile:
    """Return a file of the source with its digest; the copy of a CSV file has its own."""
    source = known.get(file.url)
    return replace(file, digest=source.digest, version=source.version) if source else file
