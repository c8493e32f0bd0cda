"""Rows as values: a dataset on disk, the parts of a split, a slice of a file, and the manifest of a source."""

from dataclasses import dataclass, field

import pyarrow as pa

from unbroken.data.schema import Schema
from unbroken.data.sources import SourceFile
from unbroken.storage.artifact import Artifact


@dataclass(frozen=True, kw_only=True)
class Dataset(Artifact):
    """Rows on disk: a Parquet file, or a manifest that lists the files of a source."""

    rows: int
    columns: int

    @property
    def file(self) -> SourceFile:
        """The Parquet file, to read."""
        return SourceFile(url=self.path, digest=self.digest)

    def __str__(self) -> str:
        return f"{self.rows:,} rows x {self.columns} features"


@dataclass(frozen=True, kw_only=True)
class SplitDatasets:
    """The rows of each part; no validation without a `split.validation_fraction`."""

    train: Dataset
    validation: Dataset | None
    test: Dataset

    def __str__(self) -> str:
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return " / ".join(f"{part.rows:,} {name}" for name, part in parts.items() if part)


@dataclass(frozen=True, slots=True)
class Slice:
    """Some rows of one file.

    Attributes:
        file: The file.
        start: The number of the first row of those they are taken from, in the file, from 0.
        rows: The rows.
        indices: Which they are of those from `start` on; all when not given.
    """

    file: SourceFile
    start: int
    rows: pa.RecordBatch
    indices: pa.Array | None = None

    def column(self, name: str) -> pa.Array:
        """Return a column of the rows."""
        return self.rows.column(name)

    def subject(self, name: str, row: int) -> str:
        """Return how a message names the value of a column in one of these rows."""
        index = row if self.indices is None else self.indices[row].as_py()
        return f"{self.file.name}: column {name}, row {self.start + index}"

    def __len__(self) -> int:
        return self.rows.num_rows


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of a loaded dataset: its fingerprint, its files in order, the rows in all of them, and its column contract.

    `left_out` says why of each column that is no feature, `leaks` how well of each that alone predicts the label almost perfectly.
    """

    fingerprint: str
    files: tuple[SourceFile, ...]
    rows: int
    schema: Schema
    left_out: dict[str, str] = field(default_factory=dict)
    leaks: dict[str, str] = field(default_factory=dict)
