"""Files that are whole under their final name, and the digest taken while they are written."""

import hashlib
from pathlib import Path

import pytest
from blake3 import blake3

from unbroken.storage import atomic


@pytest.mark.parametrize("sizes", [[0], [10], [3, atomic.BUFFER - 3], [atomic.BUFFER + 1, 7], [1] * 1000, [3 << 20]])
@pytest.mark.parametrize(("kind", "of"), [(atomic.SHA256, hashlib.sha256), (atomic.BLAKE3, blake3)])
def test_the_digest_of_a_file_written_piece_by_piece_is_that_of_its_content(
    sizes: list[int], kind: str, of: type, tmp_path: Path
):
    pieces = [bytes([number % 256]) * size for number, size in enumerate(sizes)]

    with atomic.replacing(tmp_path / "file", kind=kind) as file:
        for piece in pieces:
            file.write(piece)

    content = b"".join(pieces)
    assert (tmp_path / "file").read_bytes() == content
    assert file.digest == kind + of(content).hexdigest() == atomic.digest(tmp_path / "file", kind)


def test_a_piece_may_change_once_it_is_written(tmp_path: Path):
    piece = bytearray(b"before")

    with atomic.replacing(tmp_path / "file") as file:
        file.write(piece)
        piece[:] = b"after!"

    assert (tmp_path / "file").read_bytes() == b"before"
    assert file.digest == hashlib.sha256(b"before").hexdigest()


def test_an_error_leaves_the_file_that_was_there_and_no_other(tmp_path: Path):
    atomic.write(tmp_path / "file", b"before")

    def interrupted() -> None:
        with atomic.replacing(tmp_path / "file") as file:
            file.write(b"half")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        interrupted()

    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"before"
