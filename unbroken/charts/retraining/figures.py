"""Charts with both models in one: calibration, predictions, errors, slices; and how far the data moved."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from unbroken.charts.drawing import (
    BAR,
    DASHES,
    FEW_TICKS,
    FIRST,
    INK,
    LEGEND,
    MUTED,
    SECOND,
    SERIES,
    as_spec,
    colours,
    data_of,
    diagonal,
    distinct,
    names_axis,
    share_axis,
    short,
)
from unbroken.charts.page import Spec
from unbroken.charts.quality import Band, CalibrationBin
from unbroken.charts.retraining.both import ChangedSlice

PREDICTED, CAME_TRUE = "mean predicted probability", "share that came true"
LONGEST_COLUMN = 12
WORSE, BETTER, SAME = "worse", "better", "chance"


def reliability(models: Mapping[str, Sequence[CalibrationBin]]) -> Spec:
    """Return how often the probabilities of some models came true, with intervals, beside the diagonal."""
    rows = [
        {
            "model": name,
            "predicted": part.predicted,
            "observed": part.observed,
            "low": part.low,
            "high": part.high,
            "rows": part.rows,
        }
        for name, parts in models.items()
        for part in parts
    ]
    tooltip = ["model:N", *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("predicted", "observed"))]
    base = alt.Chart(data_of(rows)).encode(x=share_axis("predicted", PREDICTED), color=_of(models), tooltip=tooltip)
    y = share_axis("observed", CAME_TRUE)
    return as_spec(
        alt.layer(
            diagonal(PREDICTED, CAME_TRUE),
            base.mark_rule(size=2, opacity=0.6).encode(y=share_axis("low", CAME_TRUE), y2="high:Q"),
            base.mark_line(size=2).encode(y=y),
            base.mark_point(filled=True, size=45, opacity=1).encode(y=y),
        )
    )


def true_by_predicted(models: Mapping[str, Sequence[Band]]) -> Spec:
    """Return the middle of the true values by the predicted value of some models, beside the diagonal."""
    rows = [
        {"model": name, "predicted": part.predicted, "middle": part.middle, "low": part.low, "high": part.high}
        for name, parts in models.items()
        for part in parts
    ]
    values = [part.predicted for parts in models.values() for part in parts]
    ends = [{"x": value, "y": value} for value in (min(values), max(values))]
    scale = alt.Scale(zero=False, nice=False)
    base = alt.Chart(data_of(rows)).encode(
        x=alt.X("predicted:Q", title="predicted", scale=scale),
        y=alt.Y("middle:Q", title="middle of the true values", scale=alt.Scale(zero=False)),
        color=_of(models),
        tooltip=["model:N", *(alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("predicted", "middle"))],
    )
    dashed = alt.Chart(data_of(ends)).mark_line(color=MUTED, strokeDash=DASHES, size=1).encode(x="x:Q", y="y:Q")
    return as_spec(alt.layer(dashed, base.mark_line(size=2), base.mark_point(filled=True, size=40, opacity=1)))


def distributions(models: Mapping[str, Sequence[tuple[float, float, int]]], title: str) -> Spec:
    """Return how many rows lie in each bin for some models, the bins being the same."""
    rows = [
        {"model": name, "low": low, "high": high, "rows": count}
        for name, bins in models.items()
        for low, high, count in [*bins, (bins[-1][1], bins[-1][1], bins[-1][2])]
    ]
    chart = alt.Chart(data_of(rows)).mark_line(size=2, interpolate="step-after")
    return as_spec(
        chart.encode(
            x=alt.X("low:Q", title=title, scale=alt.Scale(zero=False, nice=False)),
            y=alt.Y("rows:Q", title="rows"),
            color=_of(models),
            tooltip=["model:N", alt.Tooltip("low:Q", format=".4~g"), alt.Tooltip("rows:Q", format=",")],
        )
    )


def rises(slices: Sequence[ChangedSlice], title: str) -> Spec:
    """Return by how much the loss rose in slices, with intervals, beside the line of no change."""
    names = [
        f"{short(name)} ({part.rows:,})"
        for name, part in zip(distinct(list(map(_slice_name, slices))), slices, strict=True)
    ]
    rows = [
        {
            "slice": name,
            "rise": part.rise,
            "low": part.rise - part.margin,
            "high": part.rise + part.margin,
            "what": WORSE if part.worse else BETTER if -part.rise > part.margin else SAME,
        }
        for name, part in zip(names, slices, strict=True)
    ]
    scale = alt.Scale(domain=[WORSE, BETTER, SAME], range=[SERIES[5], SERIES[2], MUTED])
    colour = alt.Color("what:N", title=None, scale=scale, legend=alt.Legend(orient="bottom", columns=3))
    base = alt.Chart(data_of(rows)).encode(
        y=names_axis("slice", names),
        color=colour,
        tooltip=["slice:N", "what:N", *(alt.Tooltip(f"{name}:Q", format="+.4f") for name in ("rise", "low", "high"))],
    )
    axis, none = alt.Axis(tickCount=FEW_TICKS), alt.Chart(data_of([{"rise": 0}]))
    return as_spec(
        alt.layer(
            none.mark_rule(color=INK, size=1).encode(x=alt.X("rise:Q", title=title, axis=axis)),
            base.mark_rule(size=2).encode(x=alt.X("low:Q", title=title, axis=axis), x2="high:Q"),
            base.mark_point(filled=True, size=60, opacity=1).encode(x=alt.X("rise:Q", axis=axis)),
        ),
        BAR * len(rows) + 10,
    )


def drift(columns: Sequence[tuple[str, float]], limit: float) -> Spec:
    """Return how far columns moved by their index, the farthest first, beside the limit."""
    names = list(map(short, distinct([name for name, _ in columns])))
    rows = [
        {"column": name, "psi": psi, "over": str(psi > limit)} for name, (_, psi) in zip(names, columns, strict=True)
    ]
    colour = alt.Color("over:N", legend=None, scale=alt.Scale(domain=["True", "False"], range=[SECOND, FIRST]))
    base = alt.Chart(data_of(rows)).encode(
        y=names_axis("column", names), tooltip=["column:N", alt.Tooltip("psi:Q", format=".4f")]
    )
    x = alt.X("psi:Q", title="PSI", axis=alt.Axis(tickCount=FEW_TICKS))
    edge = alt.Chart(data_of([{"psi": limit}])).mark_rule(color=INK, strokeDash=DASHES, size=1.5)
    return as_spec(
        alt.layer(base.mark_bar(opacity=0.8).encode(x=x, color=colour), edge.encode(x=x)), BAR * len(rows) + 10
    )


def _slice_name(part: ChangedSlice) -> str:
    """Return the column and the values of a slice; of a long column its beginning, so that there is room for the values."""
    column = part.column if len(part.column) <= LONGEST_COLUMN else f"{part.column[: LONGEST_COLUMN - 1]}…"
    return f"{column}: {part.name}"


def _of(models: Mapping[str, Any]) -> alt.Color:
    names = list(models)
    return alt.Color("model:N", title=None, scale=colours(names), sort=names, legend=LEGEND)
