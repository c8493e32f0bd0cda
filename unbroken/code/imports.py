"""The modules of a user's own that a module imports, found in their source: nothing of it is executed.

A module counts as the user's own where it is neither of Python, of this library, nor installed in `site-packages`. What is
imported by a name that is computed, as with `importlib.import_module`, is not found.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, all_suffixes
from itertools import accumulate
from pathlib import Path

from unbroken.code.source import DIGITS, parse, tree_digest
from unbroken.errors import ConfigError
from unbroken.storage import atomic

INSTALLED = {"site-packages", "dist-packages"}


def import_from(folder: Path) -> None:
    """Find modules in a folder first, as `python -m` does in the present one; neither a script nor Prefect's engine does."""
    if not {"", str(folder)} & set(sys.path):
        sys.path.insert(0, str(folder))


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module that is found: its file, none for a folder without `__init__.py`, and the folders of its submodules."""

    name: str
    path: Path | None
    folders: tuple[Path, ...] = ()

    @property
    def package(self) -> str:
        """The package that a relative import in it begins from."""
        return self.name if self.folders else self.name.rpartition(".")[0]

    @property
    def own(self) -> bool:
        """Whether it is the user's."""
        top = self.name.partition(".")[0]
        installed = self.path is not None and not INSTALLED.isdisjoint(self.path.parts)
        return not installed and top != "unbroken" and top not in sys.stdlib_module_names


def own_modules(name: str) -> dict[str, str]:
    """Return the digests of the parsed source of a module, and of all of the user's own that it imports, by their names.

    Raises:
        ConfigError: There is no such module.
    """
    first = find_module(name)
    if first is None or first.path is None:
        raise ConfigError(f"model.factory: found no module {name!r}; run from the folder that holds it, or install it")
    digests, pending, seen = {}, [*_with_parents(name)], set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        module = find_module(name)
        if module is not None and module.path is not None and (module.own or name == first.name):
            digests[name], imports = _read(module, module.path)
            pending += imports
    return dict(sorted(digests.items()))


def find_module(name: str) -> Module | None:
    """Return where a module lies; None if it is not there, or has no file."""
    top, *tails = name.split(".")
    module = _find_top(top)
    for tail in tails:
        if module is None:
            return None
        module = _find_below(module, tail)
    return module


def _find_top(name: str) -> Module | None:
    specs = (finder.find_spec(name, None) for finder in sys.meta_path if hasattr(finder, "find_spec"))
    spec: ModuleSpec | None = next(filter(None, specs), None)
    if spec is None:
        return None
    folders = tuple(Path(folder) for folder in spec.submodule_search_locations or ())
    return Module(name=name, path=Path(spec.origin) if spec.has_location and spec.origin else None, folders=folders)


def _find_below(parent: Module, tail: str) -> Module | None:
    name = f"{parent.name}.{tail}"
    for folder in parent.folders:
        if (path := folder / tail / "__init__.py").is_file():
            return Module(name=name, path=path, folders=(path.parent,))
        files = (folder / f"{tail}{suffix}" for suffix in all_suffixes())
        if path := next((file for file in files if file.is_file()), None):
            return Module(name=name, path=path)
    folders = tuple(folder / tail for folder in parent.folders if (folder / tail).is_dir())
    return Module(name=name, path=None, folders=folders) if folders else None


def _read(module: Module, path: Path) -> tuple[str, list[str]]:
    """Return the digest of a module and the names of what it imports; of one that is no Python, that of its bytes."""
    try:
        tree = parse(path.read_bytes())
        return tree_digest(tree), [*_imports(module, ast.walk(tree))]
    except (SyntaxError, ValueError):
        return atomic.digest(path)[:DIGITS], []


def _imports(module: Module, nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            for alias in node.names:
                yield from _with_parents(f"{base}.{alias.name}" if base else alias.name)


def _base(module: Module, node: ast.ImportFrom) -> str:
    parts = module.package.split(".")
    start = parts[: len(parts) - node.level + 1] if node.level else []
    return ".".join([*start, *([node.module] if node.module else [])])


def _with_parents(name: str) -> Iterator[str]:
    """Yield a module's name after those of the packages that are imported with it."""
    return accumulate(name.split("."), "{}.{}".format)
