"""Death, a full disk and a broken disk at every file operation and every step of a run: each resumes to the same bytes."""

import errno
import itertools
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash import forks, pipeline
from tests.crash.disk import Fault, Faults
from tests.crash.pipeline import Undisturbed
from tests.scorecard import Scorecard

Folders = Callable[[], Path]

every = pytest.mark.parametrize(
    "stride", [pytest.param(17, id="sample"), pytest.param(1, id="all", marks=pytest.mark.slow)]
)
pytestmark = pytest.mark.timeout(1800)


@every
def test_a_run_killed_at_any_file_operation_resumes_to_the_same_bytes(
    stride: int, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    faults = [*everywhere(undisturbed, Fault("before")), *everywhere(undisturbed, Fault("half"), {"write"})]

    def wrong(faults: Faults) -> str | None:
        folder = new_folder()
        assert forks.run(pipeline.complete_with_faults, folder, faults).killed
        return difference(folder, undisturbed, f"{faults.fault} operation {faults.index}")

    cases = faults[::stride]
    scorecard.judge("kill points", forks.run_all(wrong, [(case,) for case in cases]))


@every
def test_a_run_killed_after_any_step_resumes_to_the_same_bytes(
    stride: int, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    def wrong(step: int) -> str | None:
        folder = new_folder()
        assert forks.run(pipeline.killed_after_step, folder, step).killed
        return difference(folder, undisturbed, f"killed after step {step}")

    steps = range(1, pipeline.EPOCHS * pipeline.STEPS + 1)[:: min(stride, 3)]
    scorecard.judge("kill points", forks.run_all(wrong, [(step,) for step in steps]))


@pytest.mark.parametrize("runs", [pytest.param(6, id="sample"), pytest.param(150, id="all", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_run_killed_again_and_again_while_resuming_ends_with_the_same_bytes(
    runs: int, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    # Stages 1 to 3 are done anew in each attempt: only beyond them does a kill meet a resumed training.
    first = next(index for index, operation in enumerate(undisturbed.operations) if operation.path.endswith("lock"))

    def outcomes(number: int) -> list[str | None]:
        folder, draw = new_folder(), random.Random(number)
        indices = [draw.randrange(first, first + 30) for _ in range(3)]
        faults = [Faults(index, Fault("before")) for index in indices]
        kills = sum(forks.run(pipeline.complete_with_faults, folder, fault).killed for fault in faults)
        assert kills, f"nothing was killed at operations {indices}"
        return [difference(folder, undisturbed, f"killed at operations {indices}")] * kills

    results = forks.run_all(outcomes, [(number,) for number in range(runs)])
    scorecard.judge("kill points", [outcome for result in results for outcome in result])


@every
@pytest.mark.parametrize(
    "number", [pytest.param(errno.ENOSPC, id="ENOSPC"), pytest.param(errno.EIO, id="EIO", marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_a_run_with_an_error_at_any_file_operation_ends_or_resumes_with_the_same_bytes(
    number: int, stride: int, new_folder: Folders, undisturbed: Undisturbed, scorecard: Scorecard
) -> None:
    torn = everywhere(undisturbed, Fault("half", number), {"write"})
    late = everywhere(undisturbed, Fault("after", number), {"rename", "unlink", "mkdir", "fsync", "fsync folder"})
    faults = [*everywhere(undisturbed, Fault("before", number)), *torn, *late]

    def wrong(faults: Faults) -> str | None:
        folder = new_folder()
        ending = forks.run(pipeline.complete_with_faults, folder, faults)
        name = f"{faults.fault} operation {faults.index}"
        if ending.error is None:
            # A single error is made up for by the next save, where there is one.
            return None if ending.value == undisturbed.digest else f"{name}: {ending}"
        if not (isinstance(ending.error, OSError) and ending.error.errno == number and ending.error.filename):
            return f"{name}: expected an OSError that names the file: {ending.error!r}"
        return difference(folder, undisturbed, name)

    cases = faults[::stride]
    scorecard.judge("failing operations", forks.run_all(wrong, [(case,) for case in cases]))


def everywhere(undisturbed: Undisturbed, fault: Fault, kinds: set[str] | None = None) -> list[Faults]:
    """Return a fault at each operation of some kinds, of all when not given."""
    numbered = zip(itertools.count(), undisturbed.operations, strict=False)
    return [Faults(index, fault) for index, operation in numbered if kinds is None or operation.kind in kinds]


def difference(folder: Path, undisturbed: Undisturbed, name: str) -> str | None:
    """Resume and tell how the end differs from that of the undisturbed run."""
    ending = forks.run(pipeline.complete, folder)
    return None if ending.value == undisturbed.digest else f"{name}: {ending}"
