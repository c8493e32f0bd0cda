"""Turn what the benchmarks wrote into the table of docs/speed.md: `python -m benchmarks.render`."""

import statistics
from typing import Any

from benchmarks.measure import RESULTS, Comparison, load

HEAD = (
    "| what | ours | against | theirs | ours / theirs: median (range) | target | met |\n|---|---|---|---|---|---|---|"
)


def rows(comparison: Comparison) -> list[str]:
    """Return one row of the table for each other contender, the first with what is compared."""
    lines = []
    others = [name for name in comparison.values if name != comparison.ours]
    for other in others:
        ratios = comparison.ratios(other)
        median = statistics.median(ratios)
        target = comparison.targets.get(other)
        first = not lines
        lines.append(
            f"| {comparison.what if first else ''} | {_number(comparison, comparison.ours) if first else ''} "
            f"| {other} | {_number(comparison, other)} "
            f"| {median:.3g} ({min(ratios):.3g} .. {max(ratios):.3g}) "
            f"| {target or ''} | {('yes' if target.is_met(median) else 'no') if target else ''} |"
        )
    return lines


def _number(comparison: Comparison, name: str) -> str:
    return f"{statistics.median(comparison.values[name]):,.4g} {comparison.unit}"


def table() -> str:
    """Return the table of all results, and under it the machine they were measured on, and the notes."""
    lines, notes, facts = [HEAD], [], dict[str, Any]()
    for path in sorted(RESULTS.glob("*.json")):
        facts, comparisons = load(path)
        for comparison in comparisons:
            lines += rows(comparison)
            notes += [f"- {comparison.what}: {comparison.note}"] if comparison.note else []
    machine = facts["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    where = (
        f"Measured on {facts['date']}: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"Linux {machine['kernel']}, Python {machine['python']}; {packages}."
    )
    return "\n".join([*lines, "", where, "", *notes])


if __name__ == "__main__":
    print(table())
