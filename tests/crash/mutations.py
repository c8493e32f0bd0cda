"""Break each guard of the library in a copy of it, and show that the fault suite notices: `make mutations`.

A guard whose removal no test notices is either not needed or not tested. Exit code 0: all were noticed.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("unbroken", "tasks", "flows", "tests", "pyproject.toml")
TIMEOUT = 900


@dataclass(frozen=True)
class Mutation:
    """A guard, the text that is it, the text without it, and the tests that must fail then."""

    guard: str
    file: str
    text: str
    without: str
    tests: str

    def apply(self, copy: Path) -> None:
        """Remove the guard from a copy; raise LookupError if the text is not there exactly once."""
        path = copy / self.file
        content = path.read_text()
        if content.count(self.text) != 1:
            raise LookupError(f"{self.file}: found {content.count(self.text)} times, expected once: {self.text!r}")
        path.write_text(content.replace(self.text, self.without))


POWER = "tests/crash/test_power_loss.py::test_no_power_failure_loses_a_saved_checkpoint_or_passes_off_a_torn_one"
RESUMED = "tests/crash/test_power_loss.py::test_a_kill_followed_by_a_power_failure_loses_nothing_either"
DAMAGED = (
    "tests/crash/test_corruption.py::test_a_damaged_checkpoint_is_set_aside_with_the_reason_and_the_one_before_is_used"
)
RESULTS = "tests/crash/test_corruption.py::test_damaged_intermediate_files_are_never_read_as_whole"
RACE = "tests/crash/test_surroundings.py::test_processes_that_train_the_same_run_at_once_all_end_with_the_same_bytes"
STOPPED = "tests/crash/test_surroundings.py::test_a_stopped_process_that_wakes_after_another_took_over_writes_nothing"
SIGNAL = "tests/crash/test_surroundings.py::test_a_signal_saves_the_present_step_and_ends_the_training"
STEPS = "tests/crash/test_every_operation.py::test_a_run_killed_after_any_step_resumes_to_the_same_bytes"

THREADS = "tests/unit/training/test_resume.py::test_what_other_threads_draw_and_compute_leaves_the_bytes_as_they_are"

MUTATIONS = (
    Mutation("file fsync", "unbroken/storage/atomic.py", "os.fsync(file.fileno())", "pass", POWER),
    Mutation(
        "folder fsync", "unbroken/storage/atomic.py", "            os.fsync(descriptor)", "            pass", POWER
    ),
    Mutation(
        "folder fsync on resume", "unbroken/storage/atomic.py", "        sync_folder(part)\n", "        pass\n", RESUMED
    ),
    Mutation(
        "digest check",
        "unbroken/checkpoints/format.py",
        "if not digest.startswith(expected):",
        "if False:",
        DAMAGED,
    ),
    Mutation("digest of data", "unbroken/data/parquet.py", "pool.submit(verify, dataset)", "pool.submit(int)", RESULTS),
    Mutation(
        "lock",
        "unbroken/storage/lock.py",
        "        lock.acquire(timeout=LOOK, poll_interval=LOOK / 10)\n",
        "        pass\n",
        RACE,
    ),
    Mutation(
        "fence",
        "unbroken/checkpoints/store.py",
        "prefix, self.require_ownership, path)",
        "prefix, lambda: None, path)",
        STOPPED,
    ),
    Mutation(
        "RNG restore",
        "unbroken/training/state.py",
        '        restore_generators(tree["rng"], self.loss_sum.device)\n',
        "",
        STEPS,
    ),
    Mutation(
        "RNG alone",
        "unbroken/reproducibility/determinism.py",
        "        with drawing_alone():\n",
        "        if True:\n",
        THREADS,
    ),
    Mutation(
        "rename (copy instead)",
        "unbroken/storage/atomic.py",
        "Path(name).rename(final_path() if final_path else path)",
        "(final_path() if final_path else path).write_bytes(Path(name).read_bytes())",
        POWER,
    ),
    Mutation(
        "save before the signal",
        "unbroken/stages/train.py",
        "with StopRequest() as stop, BackgroundWriter() as writer:",
        "with BackgroundWriter() as writer, StopRequest() as stop:",
        SIGNAL,
    ),
)


def failures(mutation: Mutation | None) -> str | None:
    """Run the tests of a mutation, or those of all on an unchanged copy; return what failed first, if any did."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
        if mutation is not None:
            mutation.apply(copy)
        mutations = [mutation] if mutation else MUTATIONS
        tests = sorted({test for mutation in mutations for test in mutation.tests.split()})
        command = [sys.executable, "-m", "pytest", "-m", "not slow", "-x", "-p", "no:cacheprovider", *tests]
        pytest = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        if pytest.returncode not in {0, 1} or (pytest.returncode == 1) != ("FAILED " in pytest.stdout):
            raise RuntimeError(f"pytest ended with {pytest.returncode}:\n{pytest.stdout}{pytest.stderr}")
        failed = re.search(r"^FAILED .*::(.*)$", pytest.stdout, re.MULTILINE)
        return failed[1] if failed else None


def main() -> int:
    """Print a table of guards and whether their removal was noticed; return 0 if all were."""
    unchanged = failures(None)
    print(
        f"{'nothing removed':<28}{'the suite passes' if unchanged is None else f'THE SUITE FAILS: {unchanged}'}",
        flush=True,
    )
    unnoticed = 0
    for mutation in MUTATIONS:
        noticed = failures(mutation)
        unnoticed += noticed is None
        print(f"{mutation.guard:<28}{'NOT NOTICED' if noticed is None else f'noticed: {noticed}'}", flush=True)
    return 0 if unchanged is None and not unnoticed else 1


if __name__ == "__main__":
    sys.exit(main())
