"""Which rows train, validate and test: a pure function of the rows and the seed."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from unbroken.config import SplitConfig
from unbroken.data.dataset import Manifest, Slice
from unbroken.data.kinds import KINDS, kind_of, plurals
from unbroken.data.parquet import read_slices
from unbroken.data.permutation import Permutation, derive
from unbroken.data.prefetch import prefetch
from unbroken.errors import DataError
from unbroken.storage import atomic
from unbroken.storage.artifact import Artifact

TRAIN, VALIDATION, TEST = 0, 1, 2
ASSIGNMENT_ROWS = 1 << 20
"""Rows whose parts are written at a time."""

FEWEST_OF_A_CLASS = 10
"""Rows of a class that a random split is expected to put into each part, or it is stratified: of fewer, chance leaves none or
twice as many."""

SORTABLE = re.compile(r"[0-9]{2,}([-T: ._][0-9]{2,})*Z?")

Parts = NDArray[np.uint8]

PartsOf = Callable[[int, int], Parts]
"""Returns the parts of the rows start .. stop-1."""


@dataclass(frozen=True, kw_only=True)
class Assignment(Artifact):
    """The part of each row, decided once: a file of one byte a row, in the order of the rows."""

    def parts(self, start: int, stop: int) -> Parts:
        """Return the parts of the rows start .. stop-1."""
        return np.fromfile(self.path, np.uint8, stop - start, offset=start)


def write_assignment(path: Path, manifest: Manifest, config: SplitConfig) -> Assignment:
    """Decide once which part each row of a loaded dataset belongs to, and write it down.

    Raises:
        DataError: As `assign`.
    """
    parts_of = assign(manifest, config)
    with atomic.replacing(path, kind=atomic.BLAKE3) as file:
        for start in range(0, manifest.rows, ASSIGNMENT_ROWS):
            file.write(parts_of(start, min(start + ASSIGNMENT_ROWS, manifest.rows)).data)
    return Assignment(path=str(path), digest=file.digest)


def with_parts(manifest: Manifest, columns: list[str], parts_of: PartsOf) -> Iterator[tuple[Slice, Parts]]:
    """Yield the rows of a loaded dataset, each slice with the part of each of its rows."""
    start = 0
    for rows in prefetch(read_slices(manifest.files, columns)):
        yield rows, parts_of(start, start + len(rows))
        start += len(rows)


def assign(manifest: Manifest, config: SplitConfig) -> PartsOf:
    """Return which part each row belongs to.

    A random split is computed as it is asked for; the other kinds read one column and hold a few bytes a row.

    Args:
        manifest: The rows.
        config: The kind of split and its fractions.

    Raises:
        DataError: A part would have no rows, or the column to split by is missing a value or is of no use for it.
    """
    sizes = Sizes.of(manifest.rows, config)
    _require_rows(sizes, manifest, config)
    kind = _suitable_kind(manifest, config) if config.kind == "auto" else config.kind
    if kind == "random":
        order = Permutation(manifest.rows, derive(config.seed, "split"))
        return lambda start, stop: sizes.parts(order.of(np.arange(start, stop)))
    kinds = {"stratified": _stratified, "group": _grouped, "time": _by_time}
    parts = kinds[kind](manifest, config)
    for part, name in ((TRAIN, "train"), (VALIDATION, "validation"), (TEST, "test")):
        if not (parts == part).any() and (part != VALIDATION or config.validation_share):
            raise DataError(
                f"{manifest.files[0].name}: split.kind {kind}: found no row for the {name} part; "
                f"change its fraction or the kind of split"
            )
    return lambda start, stop: parts[start:stop]


def _suitable_kind(manifest: Manifest, config: SplitConfig) -> str:
    """Return `stratified` where a class is so rare that a random split could leave too little of it in a part."""
    label = manifest.schema.label.name
    if manifest.schema.task == "regression":
        return "random"
    counts: Counter[object] = Counter()
    for rows in read_slices(manifest.files, [label]):
        for pair in pc.value_counts(rows.column(label)).to_pylist():
            counts[pair["values"]] += pair["counts"]
    smallest = min(share for share in (config.test_fraction, config.validation_share) if share)
    return "stratified" if min(counts.values()) * smallest < FEWEST_OF_A_CLASS else "random"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many rows test and validate; the others train."""

    test: int
    validation: int

    @classmethod
    def of(cls, rows: int, config: SplitConfig) -> "Sizes":
        """Round the fractions of a number of rows."""
        least = min(1, rows) if config.validation_share else 0
        validation = max(round(rows * config.validation_share), least)
        return cls(test=round(rows * config.test_fraction), validation=validation)

    def parts(self, positions: NDArray[np.int64]) -> Parts:
        """Return the parts of rows by their positions in some order: the first test, the next validate."""
        held_out, test = positions < self.test + self.validation, positions < self.test
        return held_out.view(np.uint8) + test.view(np.uint8)  # TRAIN + 0, VALIDATION + 0, VALIDATION + 1


def _require_rows(sizes: Sizes, manifest: Manifest, config: SplitConfig) -> None:
    train = manifest.rows - sizes.test - sizes.validation
    if sizes.test < 1 or train < 1 or (config.validation_share and sizes.validation < 1):
        raise DataError(
            f"{manifest.files[0].name}: split: {manifest.rows} rows in all give {train} to train, {sizes.validation} to "
            f"validate, {sizes.test} to test; expected at least 1 each. "
            f"Change split.test_fraction or split.validation_fraction"
        )


def _stratified(manifest: Manifest, config: SplitConfig) -> Parts:
    label = manifest.schema.label.name
    if manifest.schema.task == "regression":
        raise DataError(f"split.kind stratified: label {label} has no classes; use random")
    codes, counts = _codes(_column(manifest, label))
    tests = _shares(counts, config.test_fraction, np.maximum(counts - 1, 0))
    validations = _shares(counts, config.validation_share, np.maximum(counts - tests - 1, 0))
    parts = np.empty(manifest.rows, np.uint8)
    for code, count in enumerate(counts):
        order = Permutation(int(count), derive(config.seed, "split", code))
        sizes = Sizes(test=int(tests[code]), validation=int(validations[code]))
        parts[codes == code] = sizes.parts(order.of(np.arange(count)))
    return parts


def _grouped(manifest: Manifest, config: SplitConfig) -> Parts:
    codes, counts = _codes(_column(manifest, _column_name(config)))
    shuffled = Permutation(len(counts), derive(config.seed, "split")).at(0, len(counts))
    starts = np.empty(len(counts), np.int64)
    starts[shuffled] = np.cumsum(counts[shuffled]) - counts[shuffled]
    # A group goes where its middle falls: whole groups cannot give the exact fractions, this comes closest.
    return Sizes.of(manifest.rows, config).parts(starts + counts // 2)[codes]


def _by_time(manifest: Manifest, config: SplitConfig) -> Parts:
    name = _column_name(config)
    times = _column(manifest, name)
    if name in manifest.files[0].partition and _is_sortable(times):
        times = pc.index_in(times, value_set=pa.array(sorted(pc.unique(times).to_pylist())))
    kind = kind_of(times.type)
    if kind is None or not KINDS[kind].ordered:
        ordered = plurals([kind for kind in KINDS.values() if kind.ordered])
        raise DataError(f"{manifest.files[0].name}: split.column {name}: found type {times.type}, expected {ordered}")
    order = np.argsort(times.to_numpy(), kind="stable")
    positions = np.empty(manifest.rows, np.int64)
    positions[order[::-1]] = np.arange(manifest.rows)
    return Sizes.of(manifest.rows, config).parts(positions)


def _is_sortable(texts: pa.ChunkedArray) -> bool:
    """Tell whether the texts of a path, such as `01` and `2020-01`, stand in the order of what they name."""
    values = [str(value) for value in pc.unique(texts).to_pylist()]
    return len(set(map(len, values))) == 1 and all(map(SORTABLE.fullmatch, values))


def _shares(counts: NDArray[np.int64], fraction: float, most: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide round(total * fraction) rows over the classes by the largest remainders; at most so many of each can be had."""
    exact = counts * fraction
    shares = np.minimum(np.floor(exact).astype(np.int64), most)
    remainder = round(counts.sum() * fraction) - shares.sum()
    order = np.argsort(shares - exact, kind="stable")
    shares[order[shares[order] < most[order]][:remainder]] += 1
    return shares


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each row the number of its value, in the order in which they first occur, and the count of each."""
    codes = pc.index_in(column, value_set=pc.unique(column)).to_numpy().astype(np.int64)
    return codes, np.bincount(codes)


def _column_name(config: SplitConfig) -> str:
    assert config.column is not None  # SplitConfig requires it for these kinds
    return config.column


def _column(manifest: Manifest, name: str) -> pa.ChunkedArray:
    """Return a column of all files that has a value in every row and one type."""
    chunks: list[pa.Array] = []
    for rows in read_slices(manifest.files, [name]):
        chunk = rows.column(name)
        missing = pc.is_null(chunk, nan_is_null=True)
        if pc.any(missing).as_py():
            row = pc.index(missing, True).as_py()
            raise DataError(f"{rows.subject(name, row)}: found no value, expected one in every row to split by it")
        if chunks and chunk.type != chunks[0].type:
            chunk = _cast(chunk, chunks[0].type, rows.subject(name, 0))
        chunks.append(chunk)
    return pa.chunked_array(chunks)


def _cast(chunk: pa.Array, type: pa.DataType, subject: str) -> pa.Array:
    try:
        return chunk.cast(type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"{subject}: found type {chunk.type}, expected {type} as in the first file: {error}") from error
