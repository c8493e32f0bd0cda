"""Tables as Markdown, text in it as text, and numbers as every report shows them."""

import math
import re
from pathlib import Path

from unbroken.errors.escaping import escape_controls

MARKS = re.compile(r"[\\`*\[\]<>~&$|@]|://|(?<=\bwww)\.|(?<![^\W_])_|_(?![^\W_])", re.IGNORECASE)
"""What Markdown, or the HTML and the links in it, would read as more than text; `_` inside a word is none of it."""
ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;", "://": "&#58;//", ".": "&#46;"}
BLOCK = re.compile(r"^(\d*)([#+\-=:.)])")
"""What makes the beginning of a paragraph a heading, a list or a line."""


def escape_markdown(text: str) -> str:
    """Return a text so that Markdown shows it as it is, in one line: no HTML, no link, no table of its own."""
    return MARKS.sub(lambda match: ENTITIES.get(match[0], f"\\{match[0]}"), escape_controls(text))


def paragraph(text: str) -> str:
    """Return a text as a paragraph of its own."""
    return BLOCK.sub(r"\1\\\2", escape_markdown(text.strip()))


def code(text: str) -> str:
    """Return a text as code."""
    shown = escape_controls(text) or " "
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    padding = " " if "`" in (shown[0], shown[-1]) else ""
    return f"{fence}{padding}{shown}{padding}{fence}"


def file_link(path: Path) -> str:
    """Return a link to a file of this machine, and its path as code, since a browser may not follow the link."""
    return f"[{escape_markdown(path.name)}]({path.absolute().as_uri()}): {code(str(path.absolute()))}"


def markdown_table(rows: list[list[str]]) -> str:
    """Return a table of texts whose first row is its heading."""
    return _table([[escape_markdown(cell) for cell in row] for row in rows])


def values_table(values: dict[str, object]) -> str:
    """Return a table of named values, each as code."""
    rows = [[escape_markdown(name), code(str(value)).replace("|", "\\|")] for name, value in values.items()]
    return _table([["what", "value"], *rows])


def _table(rows: list[list[str]]) -> str:
    heading, *rest = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([heading, "|" + " --- |" * len(rows[0]), *rest])


def format_number(value: float | None) -> str:
    """Return a number with four decimals, a dash for none or NaN."""
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"


def format_gain(value: float) -> str:
    """Return a difference with its sign and four decimals."""
    return f"{value:+.4f}"


def format_share(value: float) -> str:
    """Return a share of 0 .. 1 as a percentage."""
    return f"{value:.1%}"
