"""The wheel alone, in an environment that knows nothing of the repository."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, copy = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source")
    for name in ("unbroken", "flows", "tasks"):
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "prefect.yaml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(copy)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (path,) = folder.glob("unbroken-*.whl")
    return path


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a new environment that holds the wheel, and borrows what it depends on."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    # After the wheel's own folder, and without the hook by which the repository itself is installed there.
    (packages / "dependencies.pth").write_text("\n".join(dependencies))
    install = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install", "--quiet", "--no-deps"]
    subprocess.run([*install, "--ignore-installed", str(wheel)], check=True, capture_output=True, timeout=120)
    return folder / "bin" / "unbroken"


def run(command: Path, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PREFECT"))}
    environment["PREFECT_HOME"] = str(folder / "prefect")
    return subprocess.run(
        [command, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def test_the_wheel_holds_one_package_and_the_template_of_a_project(wheel: Path):
    names = ZipFile(wheel).namelist()

    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"unbroken"}
    template = {name.removeprefix("unbroken/cli/template/") for name in names if "/template/" in name}
    assert {"flows/train.py", "tasks/train.py", "prefect.yaml", "run.toml", "gitignore", "model.py"} <= template
    assert {"unbroken/py.typed", "unbroken/charts/assets/report.css", "unbroken/charts/assets/report.js"} <= set(names)


@pytest.mark.slow
def test_the_demo_of_the_wheel_ends_with_equal_bytes(command: Path, tmp_path: Path):
    result = run(command, "demo", folder=tmp_path)

    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == "the same bytes"
    assert "killed after" in result.stdout
    assert "resumed from epoch" in result.stdout


@pytest.mark.slow
def test_a_project_made_by_the_wheel_trains_on_prefect(command: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("UNBROKEN_REPORT")
    made = run(command, "init", "mine", folder=tmp_path)

    trained = run(command, "train", folder=tmp_path / "mine")

    assert (made.returncode, trained.returncode) == (0, 0), made.stderr + trained.stderr
    assert "(epoch 5, restored and verified)" in trained.stdout
    assert "without Prefect" not in trained.stdout
    assert len(list((tmp_path / "mine" / "runs").glob("*/report.html"))) == 1
