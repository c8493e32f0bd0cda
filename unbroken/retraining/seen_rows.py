"""Which rows did a champion see? A digest of each, kept beside its version, tells a row that comes again in a file that grew.

Rows that no time tells apart are known by their values: of a row that comes n times and was seen k times, k count as seen.
Where many rows of a file are the same, equal rows tell nothing, unless the file holds all that was ever seen.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from unbroken.data.dataset import Dataset, Slice
from unbroken.data.footers import Footer
from unbroken.data.kinds import as_floats, as_texts
from unbroken.data.parquet import read_slices
from unbroken.data.schema import Column, Schema
from unbroken.data.sources import SourceFile
from unbroken.errors import CorruptCheckpointError
from unbroken.features.learnt_kinds import as_kind
from unbroken.storage import atomic

Digests = NDArray[np.uint64]
Mask = NDArray[np.bool_]

MOST_REPEATS = 0.1
"""Of rows that repeat each other more often than that, an equal one need not be the same one."""
WHOLE = 0.99
MISSING = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, kw_only=True)
class SeenRows:
    """The rows that a version and those before it saw.

    Attributes:
        digests: One a row, sorted.
        complete: Whether those of every version before it are among them.
    """

    digests: Digests
    complete: bool

    def write(self, path: Path) -> None:
        """Write the digests under one of their own."""
        content = json.dumps({"complete": self.complete}).encode() + b"\n" + self.digests.astype("<u8").tobytes()
        atomic.write(path, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)

    @classmethod
    def read(cls, path: Path) -> "SeenRows":
        """Read the digests back; of a version without them, none are known. Raise CorruptCheckpointError if they changed."""
        if not path.exists():
            return cls(digests=np.empty(0, np.uint64), complete=False)
        digest, _, content = path.read_bytes().partition(b"\n")
        if (own := hashlib.sha256(content).hexdigest()) != digest.decode("latin-1"):
            raise CorruptCheckpointError(f"{path}: found SHA-256 {own}, expected that of its first line")
        head, _, words = content.partition(b"\n")
        return cls(digests=np.frombuffer(words, "<u8"), complete=json.loads(head)["complete"])

    def with_rows(self, new: Digests, replayed: Digests, *, complete: bool) -> "SeenRows":
        """Return what was seen once new rows and older ones were, which may be known."""
        digests = np.sort(np.concatenate([self.digests, new]))
        unknown = replayed[~matches(replayed, digests)]
        return SeenRows(digests=np.sort(np.concatenate([digests, unknown])), complete=complete)


def record_path(checkpoint: str) -> Path:
    """Return where the rows that a version saw are kept."""
    return Path(checkpoint).with_suffix(".rows")


def seen_among(footers: list[Footer], schema: Schema, seen: SeenRows) -> Mask | None:
    """Return which rows of new files were seen, in the order of the files; None if none was, or if that cannot be told.

    Args:
        footers: Those of the files.
        schema: The columns by which rows were seen.
        seen: Their digests.
    """
    columns = (*schema.features, schema.label)
    if any(column.name not in footer.schema.names for footer in footers for column in columns):
        return None
    digests = digests_of([footer.file for footer in footers], schema)
    mask = matches(digests, seen.digests)
    if not mask.any() or (not tell_apart(digests) and mask.sum() < WHOLE * len(seen.digests)):
        return None
    return mask


def tell_apart(digests: Digests) -> bool:
    """Tell whether rows differ so much that equal ones are the same one."""
    return len(np.unique(digests)) > (1 - MOST_REPEATS) * len(digests)


def matches(digests: Digests, seen: Digests) -> Mask:
    """Return which rows were seen: of those with the same digest as many as it has, the first ones.

    Args:
        digests: Of the rows.
        seen: Of rows that were seen, sorted.
    """
    order = np.argsort(digests, kind="stable")
    ordered = digests[order]
    rank = np.arange(len(ordered)) - np.searchsorted(ordered, ordered, "left")
    counts = np.searchsorted(seen, ordered, "right") - np.searchsorted(seen, ordered, "left")
    mask = np.empty(len(digests), np.bool_)
    mask[order] = rank < counts
    return mask


def dataset_digests(dataset: Dataset | None, schema: Schema) -> Digests:
    """Return a digest of each row of a dataset."""
    return digests_of([dataset.file] if dataset else [], schema)


def digests_of(files: list[SourceFile], schema: Schema) -> Digests:
    """Return a digest of each row of some files, by the columns of a contract."""
    columns = (*schema.features, schema.label)
    parts = [row_digests(part, columns) for part in read_slices(files, [column.name for column in columns])]
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def row_digests(part: Slice, columns: tuple[Column, ...]) -> Digests:
    """Return 64 bits for each row that are the same for the same values, whatever types these are kept as."""
    digests = np.zeros(len(part), np.uint64)
    for column in columns:
        values = as_kind(part.column(column.name), column.name, column.kind, part.subject)
        if column.coded:
            words = _text_words(as_texts(values, column.name, part.subject))
        else:
            floats = as_floats(values, column.name, column.kind, part.subject)
            words = np.where(np.isnan(floats), MISSING, (floats + 0.0).view(np.uint64))  # -0.0 is 0.0
        digests = _mix(digests * np.uint64(31) + words)
    return digests


def _text_words(texts: pa.Array) -> Digests:
    encoded = pc.dictionary_encode(texts)
    words = [
        int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
        for text in encoded.dictionary.to_pylist()
    ]
    table = np.array([*words, int(MISSING)], np.uint64)
    return table[pc.fill_null(encoded.indices, len(words)).to_numpy()]


def _mix(words: Digests) -> Digests:
    """Scatter 64-bit words: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
