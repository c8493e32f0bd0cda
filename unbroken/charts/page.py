"""A page of HTML that needs nothing but itself: texts from data are text in it, and it can ask for nothing."""

import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from unbroken.errors.escaping import escape_controls

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
"""No request leaves the page, whatever stands in it."""
NUMBER = "number"
Spec = dict[str, Any]
"""A chart, as Vega-Lite describes one."""
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif'
THEME: dict[str, Any] = {
    "background": None,
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        **dict.fromkeys(("labelColor", "titleColor"), "var(--muted)"),
        **dict.fromkeys(("gridColor", "domainColor", "tickColor"), "var(--line)"),
        **{"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "gridOpacity": 0.7},
    },
    "legend": {
        **{"labelColor": "var(--ink)", "labelFontSize": 12, "orient": "bottom", "columns": 2},
        **{"symbolType": "stroke", "symbolStrokeWidth": 3},
    },
}
"""How all charts look; the colours are those of the style sheet."""


def text(value: object) -> str:
    """Return a text so that HTML shows it as it is, control characters as escapes."""
    return html.escape(escape_controls(str(value)))


def paragraph(value: str, kind: str = "") -> str:
    """Return a text as a paragraph of a class of the style sheet."""
    return f'<p class="{kind}">{text(value)}</p>' if kind else f"<p>{text(value)}</p>"


def table(rows: Sequence[Sequence[object]], numbers: Iterable[int] = ()) -> str:
    """Return a table of texts whose first row is its heading.

    Args:
        rows: All of one length.
        numbers: Which columns hold numbers.
    """
    right = set(numbers)
    heading, *rest = [
        "".join(_cell("td" if index else "th", cell, column in right) for column, cell in enumerate(row))
        for index, row in enumerate(rows)
    ]
    body = "".join(f"<tr>{row}</tr>" for row in rest)
    return f'<div class="scroll"><table><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table></div>'


def values_table(values: dict[str, object]) -> str:
    """Return a table of named values, each as code."""
    rows = "".join(
        f"<tr><td>{text(name)}</td><td><code>{text(value)}</code></td></tr>" for name, value in values.items()
    )
    return f'<div class="scroll"><table><tbody>{rows}</tbody></table></div>'


def tiles(values: Sequence[tuple[str, str, str, str]]) -> str:
    """Return figures that a person looks at first: a value, what it is, a word on it, and whether that is good, bad or none."""
    return f'<div class="tiles">{"".join(_tile(*value) for value in values)}</div>'


def commands(lines: Sequence[str]) -> str:
    """Return lines to be copied into a shell."""
    return "<pre>" + "\n".join(map(text, lines)) + "</pre>"


def details(summary: str, content: str) -> str:
    """Return what is shown to whoever asks for it."""
    return f"<details><summary>{text(summary)}</summary>{content}</details>"


def _cell(tag: str, value: object, right: bool) -> str:
    return f"<{tag} class={NUMBER}>{text(value)}</{tag}>" if right else f"<{tag}>{text(value)}</{tag}>"


def _tile(value: str, name: str, word: str, kind: str) -> str:
    chip = f'<i class="chip {kind}">{text(word)}</i>' if word else ""
    return f'<div class="tile"><span>{text(name)}</span><b>{text(value)}</b>{chip}</div>'


@dataclass
class Page:
    """A page that is being written, section by section.

    Attributes:
        title: Its heading.
        lines: What stands below it.
        bundle: The program that draws charts, from `chart_bundle`; None to leave them out.
    """

    title: str
    lines: Sequence[str]
    bundle: str | None
    specs: list[Spec] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    sections: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, name: str, short: str, *parts: str) -> None:
        """Add a section under its name, which the list of sections gives in short."""
        self.sections.append((name, short, "".join(parts)))

    def charts(self, *figures: tuple[str, str, Spec | None]) -> str:
        """Return figures side by side, each by its title, a word on how it is read, and its chart; none without a bundle."""
        drawn = [self._figure(title, note, spec) for title, note, spec in figures if spec is not None]
        return f'<div class="charts">{"".join(drawn)}</div>' if self.bundle and drawn else ""

    def _figure(self, title: str, note: str, spec: Spec) -> str:
        self.specs.append(spec)
        self.titles.append(title)
        caption = f"<figcaption>{text(title)}<small>{text(note)}</small></figcaption>"
        return f'<figure>{caption}<div class="chart" data-chart="{len(self.specs) - 1}"></div></figure>'

    def html(self) -> str:
        """Return the whole page."""
        links = "".join(
            f'<a href="#section-{index}">{text(short)}</a>' for index, (_, short, _) in enumerate(self.sections)
        )
        parts = "".join(
            f'<section id="section-{index}"><h2>{text(name)}</h2>{content}</section>\n'
            for index, (name, _, content) in enumerate(self.sections)
        )
        header = (
            f"<header><h1>{text(self.title)}</h1>{''.join(paragraph(line, 'note') for line in self.lines)}</header>"
        )
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<link rel="icon" href="data:,"><title>{text(self.title)}</title><style>\n{_asset("report.css")}</style></head>\n'
            f"<body>{header}<nav><div>{links}</div></nav>\n<main>{parts}</main>\n{self._scripts()}</body></html>\n"
        )

    def _scripts(self) -> str:
        if not self.bundle or not self.specs:
            return ""
        data = json.dumps(self.specs, separators=(",", ":"), sort_keys=True)
        for mark, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
            data = data.replace(mark, escape)
        return (
            f"<noscript><p>Charts need JavaScript; the tables do not.</p></noscript>\n"
            f'<script type="application/json" id="specs">{data}</script>\n'
            f'<script type="application/octet-stream" id="bundle">{self.bundle}</script>\n'
            f'<script type="module">\n{_asset("report.js").replace("THEME", json.dumps(THEME))}</script>\n'
        )


def colours() -> str:
    """Return the part of the style sheet that gives colours their values, in light and in dark."""
    return _asset("report.css").partition("@media print")[0]


@cache
def _asset(name: str) -> str:
    return resources.files("unbroken.charts").joinpath("assets", name).read_text("utf-8")
