"""Charts as Vega-Lite specifications; their colours are names that the page's style sheet gives a value, in light and dark.

Names and values from data are values of fields that are named here, never names of fields, which Vega-Lite would parse.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt
from numpy.typing import NDArray

from unbroken.charts.drawing import (
    BAR,
    DASHES,
    FEW_TICKS,
    FIRST,
    HEIGHT,
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
from unbroken.charts.quality import Band, CalibrationBin, Curves
from unbroken.charts.scoring import Importance
from unbroken.charts.slices import Slice
from unbroken.checkpoints.history import History

PARTS = {"validation_": SECOND, "test_": SERIES[2]}
MOST_LETTERS = 24
CAME_TRUE = "share that came true"


def learning_curves(title: str, names: Sequence[str], history: History, published: int, resumed: Sequence[int]) -> Spec:
    """Return metrics by epoch, with a line at the published epoch and dashes where attempts went on.

    Args:
        title: What the axis says.
        names: The metrics, as the history has them.
        history: One entry an epoch.
        published: The epoch that was published.
        resumed: The epochs after which attempts went on.
    """
    shown = {name: _words(name) for name in names}
    rows = [
        {"epoch": int(entry["epoch"]), "metric": shown[name], "value": entry[name]}
        for entry in history
        for name in names
    ]
    x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d"), scale=_epochs(len(history)))
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False))
    lines = alt.Chart(data_of(rows)).encode(
        x=x,
        y=y,
        color=alt.Color("metric:N", title=None, scale=_colours_of_parts(shown), sort=list(shown.values())),
        tooltip=[alt.Tooltip("metric:N"), alt.Tooltip("epoch:Q"), alt.Tooltip("value:Q", format=".4f")],
    )
    here = [{"epoch": published, "what": f"published: epoch {published}"}]
    again = [{"epoch": epoch, "what": f"resumed after epoch {epoch}"} for epoch in sorted(set(resumed))]
    return as_spec(
        alt.layer(
            _rules(again, x).mark_rule(color=MUTED, strokeDash=DASHES, size=1.5),
            _rules(here, x).mark_rule(color=INK, size=1.5),
            lines.mark_line(size=2),
            lines.mark_point(size=30, filled=True, opacity=1),
        )
    )


def _rules(marks: list[dict[str, Any]], x: alt.X) -> alt.Chart:
    return alt.Chart(data_of(marks)).encode(x=x, tooltip=alt.Tooltip("what:N", title="here"))


def roc(curves: dict[str, Curves]) -> Spec:
    """Return ROC curves by their names, beside the diagonal of a guess."""
    rows = [
        {"curve": name, "x": x, "y": y}
        for name, curve in _named(curves)
        for x, y in zip(curve.false_positive, curve.true_positive, strict=True)
    ]
    false, true = "false positive rate", "true positive rate"
    return as_spec(alt.layer(diagonal(false, true), _curves(rows, [name for name, _ in _named(curves)], false, true)))


def precision_recall(curves: dict[str, Curves], share: float | None) -> Spec:
    """Return precision-recall curves by their names, beside the line of a guess where there is one class."""
    rows = [
        {"curve": name, "x": x, "y": y}
        for name, curve in _named(curves)
        for x, y in zip(curve.true_positive, curve.precision, strict=True)
    ]
    lines = _curves(rows, [name for name, _ in _named(curves)], "recall", "precision")
    if share is None:
        return as_spec(lines)
    guess = alt.Chart(data_of([{"y": share}])).mark_rule(color=MUTED, strokeDash=DASHES, size=1)
    return as_spec(alt.layer(guess.encode(y=share_axis("y", "precision")), lines))


def reliability(bins: Sequence[CalibrationBin]) -> Spec:
    """Return how often probabilities came true, with intervals, beside the diagonal of a model that is always right."""
    rows = [vars_of(part, "predicted", "observed", "low", "high", "rows") for part in bins]
    tooltip = [
        alt.Tooltip("predicted:Q", format=".3f"),
        alt.Tooltip("observed:Q", format=".3f"),
        alt.Tooltip("rows:Q", format=","),
    ]
    base = alt.Chart(data_of(rows)).encode(x=share_axis("predicted", "mean predicted probability"), tooltip=tooltip)
    y = share_axis("observed", CAME_TRUE)
    return as_spec(
        alt.layer(
            diagonal("mean predicted probability", CAME_TRUE),
            base.mark_rule(color=FIRST, size=2).encode(y=share_axis("low", CAME_TRUE), y2="high:Q"),
            base.mark_line(color=FIRST, size=2).encode(y=y),
            base.mark_point(color=FIRST, filled=True, size=50, opacity=1).encode(y=y),
        )
    )


def confusion(table: NDArray[Any], names: Sequence[str]) -> Spec:
    """Return the rows of each true class by predicted class, shaded by the share of the true class."""
    shown = [short(name) for name in distinct(names)]
    totals = table.sum(1)
    rows = [
        {"true": shown[i], "predicted": shown[j], "rows": int(table[i, j]), "share": table[i, j] / max(1, totals[i])}
        for i in range(len(shown))
        for j in range(len(shown))
    ]
    base = alt.Chart(data_of(rows)).encode(
        x=alt.X("predicted:N", sort=shown, title="predicted", axis=alt.Axis(labelAngle=_angle(shown), labelLimit=110)),
        y=alt.Y("true:N", sort=shown, title="true", axis=alt.Axis(labelLimit=110)),
        tooltip=[
            alt.Tooltip("true:N"),
            alt.Tooltip("predicted:N"),
            alt.Tooltip("rows:Q", format=","),
            alt.Tooltip("share:Q", format=".1%"),
        ],
    )
    opacity = alt.Opacity("share:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0.04, 0.75]))
    cells = base.mark_rect(color=FIRST).encode(opacity=opacity)
    size = 13 if len(shown) <= 4 else 10
    texts = base.mark_text(color=INK, fontSize=size).encode(
        text=alt.Text("rows:Q", format="," if len(shown) <= 8 else "~s")
    )
    return as_spec(alt.layer(cells, texts), max(HEIGHT, 26 * len(shown)))


def bars(importances: Sequence[Importance], title: str) -> Spec:
    """Return how much each column matters, the largest first."""
    names = [short(name) for name in distinct([importance.column for importance in importances])]
    rows = [
        {"column": name, "rise": one.rise, "low": one.rise - one.deviation, "high": one.rise + one.deviation}
        for name, one in zip(names, importances, strict=True)
    ]
    base = alt.Chart(data_of(rows)).encode(
        y=names_axis("column", names), tooltip=["column:N", alt.Tooltip("rise:Q", format=".4f")]
    )
    return as_spec(
        alt.layer(
            base.mark_bar(color=FIRST, opacity=0.75).encode(
                x=alt.X("rise:Q", title=title, axis=alt.Axis(tickCount=FEW_TICKS))
            ),
            base.mark_rule(color=INK, size=1.5).encode(x="low:Q", x2="high:Q"),
        ),
        BAR * len(rows) + 10,
    )


def errors_by_slice(slices: Sequence[Slice], overall: float, title: str) -> Spec:
    """Return the mean loss in each slice of a column with its interval, beside that of all rows and of a constant guess."""
    names = [
        f"{short(name)} ({part.rows:,})" for name, part in zip(distinct([s.name for s in slices]), slices, strict=True)
    ]
    rows = [
        {
            "slice": name,
            "loss": part.loss,
            "low": part.loss - part.margin,
            "high": part.loss + part.margin,
            "constant": part.constant,
        }
        for name, part in zip(names, slices, strict=True)
    ]
    base = alt.Chart(data_of(rows)).encode(
        y=names_axis("slice", names),
        tooltip=[
            alt.Tooltip("slice:N"),
            alt.Tooltip("loss:Q", format=".4f", title=title),
            alt.Tooltip("constant:Q", format=".4f", title="of a constant guess"),
        ],
    )
    x, axis = alt.Scale(zero=False), alt.Axis(tickCount=FEW_TICKS)
    everywhere = alt.Chart(data_of([{"loss": overall}])).mark_rule(color=MUTED, strokeDash=DASHES, size=1)
    return as_spec(
        alt.layer(
            everywhere.encode(x=alt.X("loss:Q", title=title, scale=x, axis=axis)),
            base.mark_rule(color=FIRST, size=2).encode(x=alt.X("low:Q", title=title, scale=x, axis=axis), x2="high:Q"),
            base.mark_point(color=FIRST, filled=True, size=60, opacity=1).encode(x=alt.X("loss:Q", scale=x, axis=axis)),
            base.mark_tick(color=SECOND, thickness=2, size=12).encode(x=alt.X("constant:Q", scale=x, axis=axis)),
        ),
        BAR * len(rows) + 10,
    )


def histogram(bins: Sequence[tuple[float, float, int]], title: str) -> Spec:
    """Return how many rows lie in each bin."""
    rows = [{"low": low, "high": high, "rows": count} for low, high, count in bins]
    x = alt.X("low:Q", title=title, scale=alt.Scale(zero=False, nice=False))
    tooltip = [
        alt.Tooltip("low:Q", format=".4~g"),
        alt.Tooltip("high:Q", format=".4~g"),
        alt.Tooltip("rows:Q", format=","),
    ]
    chart = alt.Chart(data_of(rows)).mark_rect(color=FIRST, opacity=0.75)
    return as_spec(chart.encode(x=x, x2="high:Q", y=alt.Y("rows:Q", title="rows"), y2=alt.datum(0), tooltip=tooltip))


def true_by_predicted(parts: Sequence[Band]) -> Spec:
    """Return the middle and the range of 90% of the true values by the predicted value, beside the diagonal."""
    rows = [vars_of(part, "predicted", "low", "middle", "high") for part in parts]
    ends = [{"x": value, "y": value} for value in (parts[0].predicted, parts[-1].predicted)]
    base = alt.Chart(data_of(rows)).encode(
        x=alt.X("predicted:Q", title="predicted", scale=alt.Scale(zero=False, nice=False)),
        tooltip=[alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("predicted", "low", "middle", "high")],
    )
    y = alt.Scale(zero=False)
    return as_spec(
        alt.layer(
            base.mark_area(color=FIRST, opacity=0.2).encode(y=alt.Y("low:Q", title="true", scale=y), y2="high:Q"),
            alt.Chart(data_of(ends)).mark_line(color=MUTED, strokeDash=DASHES, size=1).encode(x="x:Q", y="y:Q"),
            base.mark_line(color=FIRST, size=2).encode(y=alt.Y("middle:Q", scale=y)),
            base.mark_point(color=FIRST, filled=True, size=40, opacity=1).encode(y=alt.Y("middle:Q", scale=y)),
        )
    )


def coverage(shares: Sequence[tuple[float, float]]) -> Spec:
    """Return which share of the rows intervals held, by the share that was asked for, beside the diagonal."""
    rows = [{"x": asked, "y": covered} for asked, covered in shares]
    tooltip = [alt.Tooltip("x:Q", title="asked for", format=".0%"), alt.Tooltip("y:Q", title="held", format=".1%")]
    asked, held = "share asked for", "share of the test rows held"
    base = alt.Chart(data_of(rows)).encode(x=share_axis("x", asked), y=share_axis("y", held), tooltip=tooltip)
    return as_spec(
        alt.layer(
            diagonal(asked, held),
            base.mark_line(color=FIRST, size=2),
            base.mark_point(color=FIRST, filled=True, size=50, opacity=1),
        )
    )


def vars_of(value: object, *names: str) -> dict[str, float]:
    """Return some fields of a value."""
    return {name: getattr(value, name) for name in names}


def _curves(rows: list[dict[str, Any]], names: list[str], x: str, y: str) -> alt.Chart:
    colour = alt.Color(
        "curve:N", title=None, scale=colours(names), sort=names, legend=None if len(names) == 1 else LEGEND
    )
    tooltip = ["curve:N", alt.Tooltip("x:Q", title=x, format=".3f"), alt.Tooltip("y:Q", title=y, format=".3f")]
    chart = alt.Chart(data_of(rows)).mark_line(size=2)
    return chart.encode(x=share_axis("x", x), y=share_axis("y", y), color=colour, order="x:Q", tooltip=tooltip)


def _angle(names: list[str]) -> int:
    """Return by how much names below a chart are turned, so that they do not run into each other on a phone."""
    return 0 if sum(map(len, names)) <= MOST_LETTERS else -40


def _named(curves: dict[str, Curves]) -> list[tuple[str, Curves]]:
    return list(zip(map(short, distinct(list(curves))), curves.values(), strict=True))


def _epochs(count: int) -> alt.Scale:
    return alt.Scale(domain=[1, count] if count > 1 else [0, 2], nice=False)


def _colours_of_parts(shown: dict[str, str]) -> alt.Scale:
    """Return a colour each for the rows that train, validate and test."""
    colours = [next((colour for part, colour in PARTS.items() if name.startswith(part)), FIRST) for name in shown]
    return alt.Scale(domain=list(shown.values()), range=colours)


def _words(name: str) -> str:
    return "training loss" if name == "loss" else name.replace("_", " ")
