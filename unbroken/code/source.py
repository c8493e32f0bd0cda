"""The source of the library: a digest of its bytes, which is quick, and one of what they mean."""

import ast
import hashlib
import threading
from functools import cache
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).parents[1]
DECIDING = (
    "batches",
    "checkpoints/format.py",
    "checkpoints/history.py",
    "checkpoints/tree.py",
    "contract",
    "csv",
    "data",
    "evaluation/metrics.py",
    "evaluation/scores.py",
    "features",
    "models",
    "optimization",
    "parallel",
    "stages/load_data.py",
    "stages/preprocess.py",
    "stages/split.py",
    "stages/train.py",
    "training",
)
"""Where the source lies that decides the bits of a checkpoint."""

DIGITS = 16
"""How many hexadecimal digits name the source of a module."""

UNSAID = ("ctx", "kind", "type_comment", "type_ignores")
"""What a syntax tree says of how its source is written, or says twice."""


PARSING = threading.Lock()
"""Python 3.11 counts the depth of a syntax tree once a process: two threads that parse at once get a SystemError."""


@cache
def library_digest() -> str:
    """Return the SHA-256 of the names and contents of the library's source files."""
    digest = hashlib.sha256()
    for path in sorted(LIBRARY.rglob("*.py")):
        digest.update(f"{path.relative_to(LIBRARY)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def library_modules() -> dict[str, str]:
    """Return the digests of the parsed modules that decide bits, by their paths in the library."""
    parts = [LIBRARY / part for part in DECIDING]
    paths = [path for part in parts for path in (part.rglob("*.py") if part.is_dir() else [part])]
    return {path.relative_to(LIBRARY).as_posix(): parsed_digest(path.read_bytes()) for path in sorted(paths)}


def parsed_digest(source: bytes) -> str:
    """Return a digest of Python source that neither whitespace, comments nor docstrings change.

    It is the same in every version of Python that parses the source to the same tree.

    Raises:
        SyntaxError: The source is not Python.
        ValueError: It holds a null byte.
    """
    return tree_digest(parse(source))


def parse(source: bytes) -> ast.Module:
    """Return the syntax tree of Python source; raise as `parsed_digest` does."""
    with PARSING:
        return ast.parse(source)


def tree_digest(tree: ast.Module) -> str:
    """Return the digest of parsed source, as `parsed_digest` does."""
    return hashlib.sha256(repr(_content(tree)).encode()).hexdigest()[:DIGITS]


def _content(node: Any) -> Any:
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if name not in UNSAID)
        return type(node).__name__, *((name, _content(value)) for name, value in fields if value not in (None, []))
    if isinstance(node, list):
        return [_content(part) for part in node if not _is_docstring(part)]
    return node


def _is_docstring(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
