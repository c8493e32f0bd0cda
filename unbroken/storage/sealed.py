"""JSON objects that carry the digest of all else in them, as their first member.

An object of an earlier version has none. It is known by what its first member was, so that no damage to the digest makes a
sealed object pass for an old one.
"""

import hashlib
import logging
import re
from pathlib import Path

from unbroken.errors import DataError
from unbroken.storage import own_files

log = logging.getLogger(__name__)
SEALED = re.compile(rb'\{"content_sha256": "([0-9a-f]{64})", (.*)', re.DOTALL)


def seal(content: bytes) -> bytes:
    """Return a JSON object that has members with the SHA-256 of its bytes before them."""
    return f'{{"content_sha256": "{hashlib.sha256(content).hexdigest()}", '.encode() + content[1:]


def is_sealed(content: bytes) -> bool:
    """Tell whether an object carries a digest, right or wrong."""
    return SEALED.fullmatch(content) is not None


def unseal(content: bytes, name: str, first: str) -> bytes:
    """Return a JSON object as it was before it was sealed; one of an earlier version as it is.

    Args:
        content: The object.
        name: What a message calls it.
        first: The first member of such an object of an earlier version.

    Raises:
        DataError: It is not what was sealed.
    """
    if match := SEALED.fullmatch(content):
        original = b"{" + match[2]
        digest = hashlib.sha256(original).hexdigest()
        if digest == match[1].decode():
            return original
        complaint = f"found content_sha256 {digest}, expected {match[1].decode()}"
    elif re.match(rb'\s*\{\s*"' + first.encode() + b'"', content):
        return content
    else:
        complaint = f"found {content[:40]!r}, expected content_sha256 first"
    raise DataError(f"{name}: changed since it was written: {complaint}. Put a whole copy of it back")


def read_sealed(path: Path, first: str) -> bytes:
    """Return the object in a file, as `unseal` does; the log says where it is of an earlier version."""
    return unseal_file(own_files.read(path), path, first)


def unseal_file(content: bytes, path: Path, first: str) -> bytes:
    """Return the object in the content of a file, as `read_sealed` does."""
    if (original := unseal(content, str(path), first)) is content:
        log.warning("%s: of an earlier version, without a digest: taken as it is", path)
    return original
