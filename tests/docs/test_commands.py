"""Every command that README and docs show is run, page by page in a copy of the repository, and says what they say."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.docs.pages import PAGES, ROOT, RUNNABLE, Block, blocks
from unbroken.code.machine import describe_machine

SECONDS = 1500
MACHINE = {"vendor_id": "GenuineIntel", "instructions": "AVX512"}
"""Of the processors whose digits README and docs show."""
GAP = r"\.\.\."
DIGITS = r"\b[0-9a-f]{64}\b|\b\d\.\d{4}\b"
"""What another kind of processor computes differently: a SHA-256, a metric."""
FOREIGN = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "UNBROKEN_REPORT", "VIRTUAL_ENV")
BEGIN = "::: block of line "


def runnable(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language in RUNNABLE and block.not_run is None]


def copy_of_the_repository(folder: Path) -> None:
    """Copy what git would have in a clone, also what is not committed yet; what is installed is shared."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")


def script(block: Block) -> str:
    """Return a block as lines of a shell script, its place before its output."""
    begin = f"echo; echo '{BEGIN}{block.line}'"
    if block.language == "python":
        return f"{begin}\npython - <<'END OF BLOCK'\n{block.text}END OF BLOCK\n"
    return f"{begin}\n{block.text}"


def run(page: Path, folder: Path) -> dict[int, str]:
    """Run the blocks of a page in one shell, as somebody who reads it; return what each printed, by its line."""
    words = "\n".join(["set -eo pipefail", *map(script, runnable(page))])
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    environment |= {"PREFECT_HOME": str(folder.parent / "prefect"), "COLUMNS": "150"}
    output = folder.parent / "output"
    with output.open("wb") as file:
        shell = subprocess.Popen(
            ["bash", "-c", words], cwd=folder, env=environment, stdout=file, stderr=file, start_new_session=True
        )
        try:
            code = shell.wait(SECONDS)
        finally:
            if shell.poll() is None:
                os.killpg(shell.pid, signal.SIGKILL)
    text = output.read_text("utf-8").replace(f"{folder}{os.sep}", "")  # a reader's clone lies elsewhere
    assert code == 0, f"{page.name}: exit code {code}\n{text[-4000:]}"
    parts = text.split(BEGIN)[1:]
    return {int(number): printed for number, _, printed in (part.partition("\n") for part in parts)}


def missing(expected: tuple[str, ...], printed: str, *, digits: bool) -> Iterator[str]:
    """Yield the lines that are not in an output, in this order and among others; the number of spaces does not matter."""
    lines = iter([" ".join(line.split()) for line in printed.splitlines()])
    for line in expected:
        gaps = GAP if digits else rf"{GAP}|{DIGITS}"
        pattern = ".*".join(map(re.escape, re.split(gaps, " ".join(line.split()))))
        if not any(re.search(pattern, candidate) for candidate in lines):
            yield line


def is_machine_of_the_digits() -> bool:
    return {
        "vendor_id": describe_machine().get("vendor_id"),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    } == MACHINE


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_say_what_it_says(page: Path, tmp_path: Path):
    folder = tmp_path / "unbroken"
    folder.mkdir()
    copy_of_the_repository(folder)

    printed = run(page, folder)

    exact = is_machine_of_the_digits()
    for block in runnable(page):
        assert not list(missing(block.output, printed[block.line], digits=exact)), (
            f"{page.name}, line {block.line}: not in\n{printed[block.line]}"
        )


def test_a_line_is_demanded_in_its_order_with_any_number_of_spaces():
    assert list(missing(("a  b", "c"), "x\na b\nnot c", digits=True)) == []
    assert list(missing(("c", "a b"), "a b\nc", digits=True)) == ["a b"]
    assert list(missing(("a ... c",), "a b", digits=True)) == ["a ... c"]


def test_digits_are_demanded_of_one_kind_of_processor_alone():
    assert list(missing(("loss 0.1234 of 5",), "loss 0.1235 of 5", digits=True)) == ["loss 0.1234 of 5"]
    assert list(missing(("loss 0.1234 of 5",), "loss 0.1235 of 5", digits=False)) == []
    assert list(missing(("loss 0.1234 of 5",), "loss 0.1235 of 6", digits=False)) == ["loss 0.1234 of 5"]


def test_what_is_not_run_says_why():
    for page in PAGES:
        for block in blocks(page):
            if block.language in RUNNABLE:
                assert block.not_run is None or len(block.not_run) > 10
