"""CSV files opened to read: of a small compressed one, no more than it may unpack to."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

import fsspec

from unbroken.data.sources import SourceFile
from unbroken.errors import DataError

FREE_BYTES = 1 << 28
"""What every file may unpack to."""


@contextmanager
def open_text(file: SourceFile, max_expansion: int) -> Generator["Limited"]:
    """Open a file, unpacked if its name says that it is compressed.

    Args:
        file: The CSV file.
        max_expansion: How many times its own size a compressed file may unpack to, beyond FREE_BYTES.

    Raises:
        DataError: While it is read, when there is more.
    """
    file_system, path = fsspec.url_to_fs(file.url)
    packed = path.lower().endswith(".gz")
    limit = max(FREE_BYTES, file_system.size(path) * max_expansion) if packed else None
    with fsspec.open(file.url, "rb", compression="gzip" if packed else None) as stream:
        yield Limited(cast(BinaryIO, stream), file.url, limit)


@dataclass
class Limited:
    """Bytes to read one after the other, at most `limit` of them where there is one."""

    stream: BinaryIO
    url: str
    limit: int | None
    position: int = 0
    closed: bool = False

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        content = self.stream.read(size)
        self.position += len(content)
        if self.limit is not None and self.position > self.limit:
            raise DataError(
                f"{self.url}: unpacks to more than {self.limit >> 20:,} MiB, expected at most that of a file of its size. "
                f"Raise data.max_expansion if it is whole, or unpack it"
            )
        return content

    def readable(self) -> bool:
        """Tell Arrow that it can read from here."""
        return not self.closed

    def writable(self) -> bool:
        """Tell Arrow that it cannot write here."""
        return False

    def seekable(self) -> bool:
        """Tell Arrow that bytes come once."""
        return False

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self.position

    def flush(self) -> None:
        """Do nothing, as there is nothing to write."""

    def close(self) -> None:
        """Read no more."""
        self.closed = True
