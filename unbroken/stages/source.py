"""What a stage is made of: its result holds only as long as the library's source is the same."""

import hashlib
from functools import cache
from pathlib import Path

LIBRARY = Path(__file__).parents[1]


@cache
def source_digest() -> str:
    """Return the SHA-256 of the names and contents of the library's source files."""
    digest = hashlib.sha256()
    for path in sorted(LIBRARY.rglob("*.py")):
        digest.update(f"{path.relative_to(LIBRARY)}\n".encode() + path.read_bytes())
    return digest.hexdigest()
