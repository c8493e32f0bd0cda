"""Read the manifest that lies beside a published checkpoint."""

import json
from pathlib import Path
from typing import Any

from unbroken.errors import DataError


def read_checkpoint_manifest(path: Path) -> dict[str, Any]:
    """Return the content of a manifest; raise DataError if it is no JSON object with a text `sha256`."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(
            f"{path}: not a whole manifest: {error}. Publish the checkpoint again, or copy both files"
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("sha256"), str):
        raise DataError(
            f"{path}: not a whole manifest: found no text sha256 in it. Publish the checkpoint again, or copy both files"
        )
    return content
