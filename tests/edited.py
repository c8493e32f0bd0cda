"""The library with an edit: a copy of its source, run in a process of its own."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

LIBRARY = Path(__file__).parents[1] / "unbroken"


@dataclass(frozen=True, slots=True)
class EditedLibrary:
    """A folder that holds a copy of the library."""

    folder: Path

    @classmethod
    def copy(cls, folder: Path) -> "EditedLibrary":
        """Copy the library as it is."""
        shutil.copytree(LIBRARY, folder / "unbroken", ignore=shutil.ignore_patterns("__pycache__"))
        return cls(folder)

    def edit(self, module: str, old: str, new: str) -> "EditedLibrary":
        """Replace a text that a module holds."""
        path = self.folder / "unbroken" / module
        source = path.read_text()
        assert old in source
        path.write_text(source.replace(old, new))
        return self

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command line of the copy."""
        command = [sys.executable, "-m", "unbroken", *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False)
