"""Measure contenders in turn on one machine, so that its ups and downs hit them alike, and keep what came out as JSON.

As a program it runs a command with all its descendants, and tells their cost: see `cost_of`.
"""

import ctypes
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "accelerate", "duckdb", "dvc", "lightning", "metaflow", "numpy", "pandas", "polars", "prefect", "pyarrow",
    "scikit-learn", "skorch", "torch",
)  # fmt: skip
SUBREAPER = 36

Measurement = Callable[[], float]
"""Do the work once and return what it gave or cost, in the comparison's unit."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the ratio ours / other is to be: `at_least` for a rate, `at_most` for a cost."""

    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, ratio: float) -> bool:
        """Tell whether a ratio is good enough."""
        above = self.at_least is None or ratio >= self.at_least
        return above and (self.at_most is None or ratio <= self.at_most)

    def __str__(self) -> str:
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What each contender gave in each round; the ratios are ours / other within a round, so that load cancels out."""

    what: str
    unit: str
    ours: str
    values: dict[str, list[float]]
    targets: dict[str, Target] = field(default_factory=dict)
    note: str = ""

    def ratios(self, other: str) -> list[float]:
        """Return ours / other of each round."""
        return [mine / its for mine, its in zip(self.values[self.ours], self.values[other], strict=True)]

    def describe(self) -> str:
        """Return the comparison in a few lines for a terminal."""
        lines = [f"{self.what} [{self.unit}]"]
        for name, values in self.values.items():
            line = f"  {name:34} min {min(values):>12,.4g}  median {statistics.median(values):>12,.4g}"
            if name != self.ours:
                ratios = self.ratios(name)
                line += f"  ratio {statistics.median(ratios):.3g} ({min(ratios):.3g} .. {max(ratios):.3g})"
            lines.append(line + (f"  target {self.targets[name]}" if name in self.targets else ""))
        return "\n".join(lines)


def compare(
    what: str,
    unit: str,
    contenders: Mapping[str, Measurement],
    *,
    rounds: int = 5,
    warm_up: bool = True,
    targets: Mapping[str, Target] | None = None,
    note: str = "",
) -> Comparison:
    """Run all contenders once to warm up, then in turn for some rounds, each round beginning with another one.

    The first contender is ours, the one that the others are compared with.
    """
    names = list(contenders)
    values: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-1 if warm_up else 0, rounds):
        first = max(number, 0) % len(names)
        for name in names[first:] + names[:first]:
            value = contenders[name]()
            if number >= 0:
                values[name].append(value)
    found = Comparison(what=what, unit=unit, ours=names[0], values=values, targets=dict(targets or {}), note=note)
    print(found.describe(), flush=True)
    return found


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a command and all its descendants took; `peak_bytes` is of the largest one process."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    status: int


def cost_of(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Cost:
    """Run a command to its end, and that of everything it started; raise RuntimeError with its output if it fails."""
    reader, writer = os.pipe()
    root = str(Path(__file__).parents[1])
    measured = [sys.executable, str(Path(__file__).resolve()), str(writer), *command]
    variables = {"PYTHONPATH": root} | dict(environment if environment is not None else os.environ)
    with os.fdopen(reader) as answer:
        done = subprocess.run(
            measured, env=variables, cwd=folder, pass_fds=[writer], capture_output=True, text=True, check=False
        )
        os.close(writer)
        if done.returncode:
            raise RuntimeError(
                f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
            )
        return Cost(**json.loads(answer.read()))


def _run_and_tell(descriptor: int, command: list[str]) -> int:
    # Descendants that outlive their parent come to this process, so that none goes uncounted.
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    started = time.perf_counter()
    status = subprocess.run(command, check=False).returncode
    wall = time.perf_counter() - started
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost = Cost(
        wall_seconds=wall, cpu_seconds=used.ru_utime + used.ru_stime, peak_bytes=used.ru_maxrss << 10, status=status
    )
    os.write(descriptor, json.dumps(asdict(cost)).encode())
    return status


def machine() -> dict[str, Any]:
    """Return the facts that numbers depend on."""
    information = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(": ")[2] for line in information if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def save(name: str, comparisons: Sequence[Comparison]) -> Path:
    """Write the comparisons of a script beside the date and the machine to `results/<name>.json`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    content = {"date": today, "machine": machine(), "comparisons": [asdict(each) for each in comparisons]}
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def load(path: Path) -> tuple[dict[str, Any], list[Comparison]]:
    """Return what `save` wrote: date and machine, and the comparisons."""
    content = json.loads(path.read_text())
    found = [_comparison(each) for each in content.pop("comparisons")]
    return content, found


def _comparison(stored: dict[str, Any]) -> Comparison:
    targets = {name: Target(**target) for name, target in stored.pop("targets").items()}
    return Comparison(targets=targets, **stored)


if __name__ == "__main__":
    sys.exit(_run_and_tell(int(sys.argv[1]), sys.argv[2:]))
