"""The program that draws charts in the page, from the libraries of the extra `report`; it is put together once a version."""

import base64
import gzip
import hashlib
import importlib.util
import logging
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from unbroken.storage import atomic, own_files

log = logging.getLogger(__name__)

LIBRARIES = ("altair", "vl_convert")
SUFFIX = ".js.gz"
EVERYTHING: Any = None
"""Instead of a program that uses some of the libraries: all of them, under their own names."""
INSTALL = "pip install 'unbroken[report]'"


def is_installed() -> bool:
    """Tell whether the libraries that draw charts are there; none is imported."""
    return all(importlib.util.find_spec(name) for name in LIBRARIES)


def chart_bundle(cache: Path) -> str:
    """Return the program, one JavaScript module, packed by gzip and written in base64: a third of its size.

    Args:
        cache: A private folder where it is kept under the digest of its content, since putting it together takes seconds.
    """
    stem = f"vega-{version('vl-convert-python')}."
    for path in sorted(cache.glob(f"{stem}*{SUFFIX}")):
        content = own_files.read(path)
        if path.name == f"{stem}{_digest(content)}{SUFFIX}":
            return _encoded(content)
    import vl_convert  # noqa: PLC0415 (an extra)

    content = gzip.compress(vl_convert.javascript_bundle(EVERYTHING).encode(), mtime=0)
    try:
        atomic.make_folder(cache)
        atomic.write(cache / f"{stem}{_digest(content)}{SUFFIX}", content)
    except OSError as error:
        log.debug("%s: cannot keep the program that draws charts: %s", cache, error)
    return _encoded(content)


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def cache_folder() -> Path:
    """Return where programs that draw charts are kept between reports."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "unbroken"  # noqa: PTH111 (never raises)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
