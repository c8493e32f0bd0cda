"""Read a published checkpoint together with its manifest, also while another is being published."""

import hashlib
from pathlib import Path

from unbroken.checkpoints.format import decode, read_content
from unbroken.checkpoints.tree import Tree
from unbroken.errors import CorruptCheckpointError, DataError
from unbroken.storage import atomic
from unbroken.storage.publication import require_published


def read_published(path: Path) -> tuple[Tree, str]:
    """Read a published checkpoint and return it with its SHA-256; where manifests lie beside it, one has to name that.

    Raises:
        CorruptCheckpointError: It is not whole, or not the one that was published.
        CheckpointMismatchError: It is of another program or another format.
        DataError: Its manifest is not whole.
    """
    while True:
        content = read_content(path)
        digest = hashlib.sha256(content).hexdigest()
        try:
            require_published(path, digest)
        except (CorruptCheckpointError, DataError):
            if atomic.digest(path) == digest:
                raise
        else:
            return decode(content, path), digest
