"""Where predictions may be written: over earlier predictions, never over anything else by mistake."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from unbroken.data.sources import SourceFile, local_path
from unbroken.errors import DataError

MARK = {b"unbroken": b"predictions"}
"""In the metadata of a file's schema: it holds predictions."""


def require_target(target: Path, source: str, files: list[SourceFile], *, overwrite: bool) -> None:
    """Refuse a target that is a file of the source or lies in it, or that exists and holds no predictions.

    Args:
        target: The Parquet file to write.
        source: The path, folder, glob or URL of the rows to score.
        files: The files that the source stands for.
        overwrite: Whether a file that holds something else may be replaced.

    Raises:
        DataError: If rows would be lost, or would be read as rows the next time.
    """
    if any(_is_file_of(target, file) for file in files) or _would_join(target, source):
        raise DataError(
            f"{target}: found the target in the source {source}, expected another place: "
            f"rows would be lost, or predictions be read as rows the next time"
        )
    if target.is_dir():
        raise DataError(f"{target}: found a folder, expected the name of a Parquet file to write")
    if target.exists() and not overwrite and not _holds_predictions(target):
        raise DataError(
            f"{target}: found a file that holds no predictions, expected none there, or earlier predictions. "
            f"Give another target, or set overwrite to replace it"
        )


def _is_file_of(target: Path, file: SourceFile) -> bool:
    path = local_path(file.url)
    return path is not None and target.exists() and target.samefile(path)


def _would_join(target: Path, source: str) -> bool:
    """Tell whether a file at the target would be one of a local source's, whether it is there or not."""
    rows = Path(source.removeprefix("file://")).absolute()
    if rows.is_dir():
        return rows.resolve() in target.resolve().parents
    return target.absolute().match(str(rows))


def _holds_predictions(path: Path) -> bool:
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (pa.ArrowException, OSError):
        return False
    return MARK.items() <= metadata.items()
