"""The library's own source: a stage's result holds only as long as that is the same."""

import hashlib
from functools import cache
from pathlib import Path

LIBRARY = Path(__file__).parents[1]


@cache
def library_digest() -> str:
    """Return the SHA-256 of the names and contents of the library's source files."""
    digest = hashlib.sha256()
    for path in sorted(LIBRARY.rglob("*.py")):
        digest.update(f"{path.relative_to(LIBRARY)}\n".encode() + path.read_bytes())
    return digest.hexdigest()
