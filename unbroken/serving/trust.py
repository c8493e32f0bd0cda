"""May the function that a checkpoint names be called? By itself a file is believed in nothing but the presets.

The champion of a registry is believed in more: it was promoted here, and the code that trained it is written down. So its own
function may be called where all of this holds: the registry lies in the project's folder, the function's module too, and its
source and that of all of one's own modules that it imports are those that trained. What is imported then is code of the
project as it already was.
"""

from pathlib import Path

from unbroken.code.imports import find_module, own_modules
from unbroken.code.record import differing
from unbroken.config.model import AUTO, PRESETS
from unbroken.errors import CheckpointMismatchError
from unbroken.serving.code_check import recorded_code


def require_trusted(
    file: Path, digest: str, factory: str, named: str | None, registry: Path | None, project: Path
) -> None:
    """Raise CheckpointMismatchError if what builds a checkpoint's model may not be called.

    Args:
        file: The checkpoint.
        digest: Its SHA-256.
        factory: What the checkpoint names.
        named: What the caller names, who may name anything; None and `auto` leave it to the presets and the registry.
        registry: The folder whose champion it is, None for a file alone.
        project: The only folder to import from.
    """
    named = None if named == AUTO else named
    if factory == named or (named is None and factory in PRESETS):
        return
    expected = f"expected {named!r}" if named else f"expected one of {', '.join(PRESETS)}"
    if named is None:
        reason = objection(file, digest, factory, registry, project)
        if not reason:
            return
        expected = f"{expected}: {reason}"
    raise CheckpointMismatchError(
        f"{file}: its model is built by {factory!r}, {expected}. If you trust it, give factory={factory!r}"
    )


def objection(file: Path, digest: str, factory: str, registry: Path | None, project: Path) -> str:
    """Return why what builds a champion's model may not be called without being named; nothing if it may."""
    if registry is None:
        return "a file alone names what builds it, no registry does"
    if not _lies_in(registry, project):
        return f"the registry lies outside the project {project.resolve()}"
    name = factory.partition(":")[0]
    module = find_module(name)
    if module is None or module.path is None:
        return f"found no module {name} in {project.resolve()}"
    if not (module.own and _lies_in(module.path, project)):
        return f"{module.path} lies outside the project {project.resolve()}"
    recorded = recorded_code(file, digest)
    if recorded is None:
        return "no code that trained it is recorded"
    if changed := differing(recorded.own, own_modules(name)):
        return f"{', '.join(changed)} changed since it was trained"
    return ""


def _lies_in(path: Path, folder: Path) -> bool:
    return folder.resolve() in path.resolve().parents
