"""Draw a kill and its resume from a real run, as docs/kill.svg: `python -m benchmarks.kill.picture`."""

import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.kill.process import KILLED_AT, command, steps_of
from benchmarks.kill.task import EPOCHS, STEPS

TARGET = Path(__file__).parents[2] / "docs" / "kill.svg"
GREY, BLUE, RED = "#b8b8b8", "#1f6fb4", "#c8443a"
STYLE = {"svg.hashsalt": "unbroken", "font.size": 11, "axes.spines.top": False, "axes.spines.right": False}


def draw(
    undisturbed: list[tuple[int, float]], killed: list[list[tuple[int, float]]], digests: tuple[str, str]
) -> Figure:
    """Return the picture.

    Args:
        undisturbed: Steps and losses of the training that was left alone.
        killed: Those of the process that was killed, and of the one after it.
        digests: The SHA-256 of either `checkpoint.pth`.
    """
    before, after = killed
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*undisturbed, strict=True), color=GREY, linewidth=5, label="left alone")
    axes.plot(
        *zip(*before, strict=True), color=RED, linewidth=1.6, label=f"killed by SIGKILL after step {before[-1][0]}"
    )
    axes.plot(
        *zip(*after, strict=True),
        color=BLUE,
        linewidth=1.6,
        label=f"the same command again: from step {after[0][0]} on",
    )
    axes.plot(*before[-1], "x", color=RED, markersize=12, markeredgewidth=3)
    for epoch in range(EPOCHS + 1):
        axes.axvline(epoch * STEPS, color=GREY, linewidth=0.6, linestyle=":")
    axes.set(xlabel=f"step ({STEPS} an epoch)", ylabel="loss", xlim=(0, EPOCHS * STEPS))
    axes.legend(frameon=False, loc="upper right")
    lines = [
        f"{name}  sha256 {digest[:32]}…" for name, digest in zip(("left alone", "killed    "), digests, strict=True)
    ]
    same = "the same bytes" if len(set(digests)) == 1 else "OTHER BYTES"
    text = "\n".join([*lines, same])
    axes.text(0.02, 0.03, text, transform=axes.transAxes, family="monospace", fontsize=9, va="bottom")
    return figure


def main() -> int:
    """Train, kill, train again, and draw; 1 if the bytes differ."""
    with tempfile.TemporaryDirectory() as folder:
        alone, killed = Path(folder, "alone"), Path(folder, "killed")
        expected = command("unbroken", alone, None)
        command("unbroken", killed, None, KILLED_AT)
        resumed = command("unbroken", killed, None)
        with mpl.rc_context(STYLE):
            figure = draw(steps_of(alone)[0], steps_of(killed), (str(expected), str(resumed)))
            figure.savefig(TARGET, metadata={"Date": None})
    print(f"{TARGET}: {expected} {resumed}")
    return int(expected != resumed)


if __name__ == "__main__":
    sys.exit(main())
