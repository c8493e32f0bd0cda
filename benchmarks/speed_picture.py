"""Draw how many rows a second Unbroken trains for one of each peer, as it was measured: `python -m benchmarks.speed_picture`."""

import statistics

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.measure import RESULTS, Comparison, load

TARGET = RESULTS / "speed.png"
LIMITS = "matrix products"
"""How the contenders begin that are no peers."""
BLUE, GREY = "#1f6fb4", "#8a8a8a"


def panel(axes: Axes, comparison: Comparison) -> None:
    """Draw one network: a point for the median of each peer's rounds, a line for their range."""
    peers = [name for name in comparison.values if name != comparison.ours and not name.startswith(LIMITS)]
    for place, peer in enumerate(reversed(peers)):
        ratios = comparison.ratios(peer)
        axes.plot([min(ratios), max(ratios)], [place, place], color=BLUE, linewidth=2, alpha=0.5)
        axes.plot(statistics.median(ratios), place, "o", color=BLUE)
    axes.axvline(1, color=GREY, linewidth=1)
    axes.set_yticks(range(len(peers)), reversed(peers))
    axes.set_xscale("log", base=2)
    axes.set_xlim(0.5, 32)
    axes.set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
    axes.set_title(comparison.what, fontsize=10, loc="left")


def main() -> None:
    """Draw all networks of one thread beside those of two."""
    _, comparisons = load(RESULTS / "training.json")
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(10, 6.5), layout="constrained")
        rows = -(-len(comparisons) // 2)
        places = list(figure.subplots(rows, 2, sharex=True).flat)
        for axes, comparison in zip(places, comparisons, strict=False):
            panel(axes, comparison)
        for axes in places[len(comparisons) :]:
            axes.set_axis_off()
        figure.supxlabel("rows a second, ours / theirs: the median of the rounds and their range", fontsize=10)
        figure.savefig(TARGET, dpi=110)
    print(TARGET)


if __name__ == "__main__":
    main()
