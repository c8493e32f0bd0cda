"""The main charts of a page as small images, for where a page cannot be: SVG in light and dark, inside Markdown."""

import base64
import logging

from unbroken.charts.page import THEME, Page, Spec, colours

log = logging.getLogger(__name__)

MAIN = ("Loss", "Calibration", "True by predicted", "The slices that fare worst")
"""How the titles of charts begin that say most."""
WIDTH, HEIGHT = 420, 200


def main_charts(page: Page) -> str:
    """Return a section of Markdown with the main charts of a page, which hold their data; nothing where none can be drawn."""
    chosen = [(title, spec) for title, spec in zip(page.titles, page.specs, strict=True) if title.startswith(MAIN)]
    if not page.bundle or not chosen:
        return ""
    try:
        images = [f"![{title}](data:image/svg+xml;base64,{_encoded(svg(spec))})" for title, spec in chosen]
    except Exception as error:
        log.warning("%s: no images of its charts: %s: %s", page.title, type(error).__name__, error)
        return ""
    return "\n\n".join(["", "## Charts", *images]) + "\n"


def svg(spec: Spec) -> str:
    """Return a chart as SVG whose colours follow the theme of where it is shown."""
    import vl_convert  # noqa: PLC0415 (an extra)

    sized = {"height": HEIGHT} | spec | {"width": WIDTH}
    drawn = vl_convert.vegalite_to_svg(sized, config=THEME | {"background": "var(--paper)"})
    opening, _, rest = drawn.partition(">")
    return f"{opening}><style>{colours()}</style>{rest}"


def _encoded(content: str) -> str:
    return base64.b64encode(content.encode()).decode("ascii")
