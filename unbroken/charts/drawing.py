"""What all charts share: colours as names of the page's style sheet, axes, names and numbers as charts show them."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from unbroken.charts.page import Spec
from unbroken.errors.escaping import escape_controls

INK, MUTED, LINE, FIRST, SECOND = "var(--ink)", "var(--muted)", "var(--line)", "var(--series-1)", "var(--series-2)"
SERIES = [f"var(--series-{number})" for number in range(1, 9)]
HEIGHT, BAR, LONGEST, DIGITS = 220, 20, 28, 6
FEW_TICKS = 5
DASHES = [4, 4]
LEFT_TO_THE_PAGE = ("$schema", "config")
LEGEND = alt.Legend(orient="bottom", columns=2)


def diagonal(x: str, y: str) -> alt.Chart:
    """Return the dashed line on which two shares are the same; the axes have these titles."""
    ends = alt.Chart(data_of([{"x": 0, "y": 0}, {"x": 1, "y": 1}])).mark_line(color=MUTED, strokeDash=DASHES, size=1)
    return ends.encode(x=share_axis("x", x), y=share_axis("y", y))


def share_axis(field: str, title: str) -> Any:
    """Return an axis from 0 to 100%."""
    axis = alt.Axis(format=".0%", tickCount=5)
    channel = alt.X if field in ("x", "predicted") else alt.Y
    return channel(f"{field}:Q", title=title, scale=alt.Scale(domain=[0, 1]), axis=axis)


def names_axis(field: str, order: list[str]) -> alt.Y:
    """Return an axis of names, from top to bottom in their order."""
    return alt.Y(f"{field}:N", sort=order, title=None, axis=alt.Axis(labelLimit=190, domain=False, ticks=False))


def colours(names: list[str]) -> alt.Scale:
    """Return a colour for each name."""
    return alt.Scale(domain=names, range=[SERIES[index % len(SERIES)] for index in range(len(names))])


def short(name: str) -> str:
    """Return a name as a chart has room for it."""
    shown = escape_controls(name) or "(empty)"
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def distinct(names: Sequence[str]) -> list[str]:
    """Return names of which no two are the same when shown: charts would draw them as one."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        shown = short(name)
        seen[shown] = seen.get(shown, 0) + 1
        result.append(name if seen[shown] == 1 else f"{shown[: LONGEST - 6]} #{seen[shown]}")
    return result


def data_of(rows: list[dict[str, Any]]) -> alt.Data:
    """Return rows as the data of a chart."""
    return alt.Data(values=[{name: _rounded(value) for name, value in row.items()} for row in rows])


def _rounded(value: Any) -> Any:
    """Return a number with as many digits as a chart shows, None for one that is not finite."""
    if isinstance(value, float | np.floating):
        return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def as_spec(chart: Any, height: int = HEIGHT) -> Spec:
    """Return a chart as Vega-Lite, as wide as its place in the page."""
    spec = chart.properties(width="container", height=height).to_dict(
        validate=False
    )  # half of the time; tests validate
    return {name: value for name, value in spec.items() if name not in LEFT_TO_THE_PAGE}
