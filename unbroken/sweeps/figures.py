"""The charts of a sweep as Vega-Lite specifications, in the colours of the page's style sheet."""

import json
import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from unbroken.charts.page import Spec
from unbroken.config.metrics import smaller_is_better
from unbroken.sweeps.journal import Outcome, Proposal

Ended = Sequence[tuple[Proposal, Outcome]]
INK, MUTED, FIRST, SECOND = "var(--ink)", "var(--muted)", "var(--series-1)", "var(--series-2)"
HEIGHT = 220
LEFT_TO_THE_PAGE = ("$schema", "config")
STATES = {"complete": FIRST, "pruned": MUTED, "failed": SECOND}
DECADES = 2
"""Powers of ten that numbers have to span to be shown by their logarithm."""


def by_trial(ended: Ended, monitor: str) -> Spec:
    """Return the metric of each trial, and a line of the best so far."""
    rows, best = list[dict[str, Any]](), list[dict[str, Any]]()
    sign, so_far = 1 if smaller_is_better(monitor) else -1, math.inf
    for _, outcome in ended:
        if outcome.value is None:
            continue
        rows.append({"trial": outcome.trial, "value": outcome.value, "state": outcome.state})
        if outcome.state == "complete":
            so_far = min(so_far, sign * outcome.value)
        if math.isfinite(so_far):
            best.append({"trial": outcome.trial, "value": sign * so_far})
    x = alt.X("trial:Q", axis=alt.Axis(tickMinStep=1, format="d"))
    line = (
        alt.Chart(_data(best)).mark_line(color=INK, interpolate="step-after", size=1.5).encode(x=x, y=_value(monitor))
    )
    return _spec(alt.layer(line, _points(rows, monitor, x, "trial:Q")))


def curves(ended: Ended, monitor: str) -> Spec:
    """Return the metric of each trial by epoch."""
    rows = [
        {"trial": outcome.trial, "epoch": epoch, "value": value, "state": outcome.state}
        for _, outcome in ended
        for epoch, value in enumerate(outcome.values, start=1)
        if value is not None
    ]
    lines = alt.Chart(_data(rows)).mark_line(size=1, opacity=0.7, point=alt.OverlayMarkDef(size=12))
    return _spec(
        lines.encode(
            x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1, format="d")),
            y=_value(monitor),
            detail="trial:N",
            color=_states(),
            tooltip=["trial:Q", "epoch:Q", alt.Tooltip("value:Q", format=".4f"), "state:N"],
        )
    )


def slice_of(ended: Ended, name: str, monitor: str) -> Spec:
    """Return the metric of each trial by the value of one setting."""
    values = [proposal.settings[name] for proposal, _ in ended]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    rows = [
        {
            "setting": proposal.settings[name] if numbers else json.dumps(proposal.settings[name]),
            "trial": outcome.trial,
            "value": outcome.value,
            "state": outcome.state,
        }
        for proposal, outcome in ended
        if outcome.value is not None
    ]
    x = (
        alt.X("setting:Q", title=_short(name), scale=_scale(values))
        if numbers
        else alt.X("setting:N", title=_short(name))
    )
    return _spec(_points(rows, monitor, x, "setting:Q" if numbers else "setting:N"))


def _points(rows: list[dict[str, Any]], monitor: str, x: alt.X, shown: str) -> alt.Chart:
    names = dict.fromkeys(("trial:Q", shown))
    tooltip = [*(alt.Tooltip(name) for name in names), alt.Tooltip("value:Q", format=".4f"), alt.Tooltip("state:N")]
    points = alt.Chart(_data(rows)).mark_point(filled=True, size=45, opacity=0.9)
    return points.encode(x=x, y=_value(monitor), color=_states(), tooltip=tooltip)


def _value(monitor: str) -> alt.Y:
    return alt.Y("value:Q", title=monitor.replace("_", " "), scale=alt.Scale(zero=False))


def _states() -> alt.Color:
    scale = alt.Scale(domain=list(STATES), range=list(STATES.values()))
    return alt.Color("state:N", title=None, scale=scale)


def _scale(values: Sequence[float]) -> alt.Scale:
    """Return a scale by the logarithm where numbers above 0 span some powers of ten."""
    wide = bool(values) and min(values) > 0 and max(values) >= min(values) * 10**DECADES
    return alt.Scale(type="log") if wide else alt.Scale(zero=False)


def _short(name: str) -> str:
    return name.partition(".")[2]


def _data(rows: list[dict[str, Any]]) -> alt.Data:
    return alt.Data(values=rows)


def _spec(chart: Any) -> Spec:
    spec = chart.properties(width="container", height=HEIGHT).to_dict(validate=False)
    return {name: value for name, value in spec.items() if name not in LEFT_TO_THE_PAGE}
