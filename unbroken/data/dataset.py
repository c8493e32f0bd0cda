"""Rows as values: a file of them, a slice of one file, the parts of a split, and the manifest of a source."""

from dataclasses import dataclass, field

import pyarrow as pa

from unbroken.data.schema import Schema
from unbroken.storage.artifact import Artifact


@dataclass(frozen=True, kw_only=True)
class Dataset(Artifact):
    """Rows on disk: a Parquet file, or a manifest that lists the files of a source."""

    rows: int
    columns: int

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


@dataclass(frozen=True, kw_only=True)
class TableFile:
    """One Parquet file of a dataset; `partition` holds the columns that stand in its path, `origin` the CSV file it was."""

    url: str
    rows: int
    partition: dict[str, int | str | None] = field(default_factory=dict)
    origin: str | None = None

    @property
    def name(self) -> str:
        """The file as the user knows it."""
        return self.origin or self.url


@dataclass(frozen=True, slots=True)
class Slice:
    """Some rows of one file: `start` is the place of the first of them in the file, from 0."""

    file: TableFile
    start: int
    rows: pa.RecordBatch

    def column(self, name: str) -> pa.Array:
        """Return a column of the rows."""
        return self.rows.column(name)

    def subject(self, name: str, place: int) -> str:
        """Return how a message names the value of a column in one of these rows."""
        return f"{self.file.name}: column {name}, row {self.start + place}"

    def __len__(self) -> int:
        return self.rows.num_rows


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of a loaded dataset: its files in order, its fingerprint and its column contract."""

    fingerprint: str
    files: tuple[TableFile, ...]
    schema: Schema

    @property
    def rows(self) -> int:
        """The number of rows in all files."""
        return sum(file.rows for file in self.files)
