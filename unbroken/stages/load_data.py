"""Stage 1: check a source against one column contract and list its files in a manifest."""

from pathlib import Path

from unbroken.config import DataConfig
from unbroken.contract.check import check_contract
from unbroken.csv.conversion import as_parquet
from unbroken.csv.reading import Reading
from unbroken.data import sample
from unbroken.data.dataset import Dataset, Manifest
from unbroken.data.footers import Footer, read_footers
from unbroken.data.sources import SAMPLE, SourceFile, digest_files, find_files, fingerprint_files
from unbroken.errors import DataError
from unbroken.run import Run, delete_on_bad_input
from unbroken.storage import atomic
from unbroken.storage.artifact import from_json, to_json, verify


def load_data(config: DataConfig, run: Run) -> Dataset:
    """Write the manifest of a source after checking every footer and every label.

    A Parquet source is not copied; CSV is converted once.

    Raises:
        DataError: The first thing that does not fit; a new run leaves nothing behind.
    """
    with delete_on_bad_input(run):
        manifest = check_contract(_footers(config, run), config, run.fingerprint)
        path = run.data / "dataset.json"
        atomic.write(path, to_json(manifest, indent=1))
    return Dataset(
        path=str(path), digest=atomic.digest(path), rows=manifest.rows, columns=len(manifest.schema.features)
    )


def read_manifest(dataset: Dataset) -> Manifest:
    """Read the manifest of a loaded dataset back; raise DataError if it is not the one that was written."""
    verify(dataset)
    return from_json(Manifest, Path(dataset.path).read_bytes(), dataset.path)


def _footers(config: DataConfig, run: Run) -> list[Footer]:
    if config.source == SAMPLE:
        path = run.data / "sample.parquet"
        sample.write(path)
        return read_footers([SourceFile(url=str(path))])
    files = find_files(config.source)
    if fingerprint_files(files, digest_files(files)) != run.fingerprint:
        raise DataError(f"{config.source}: changed while this run was starting; run the same command again")
    reading = Reading.of(config)
    return read_footers(as_parquet(files, run.data, reading, prefix="source-"), reading.kinds)
