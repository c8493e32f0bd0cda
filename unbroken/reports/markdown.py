"""Tables as Markdown, and numbers as every report shows them."""

import math


def markdown_table(rows: list[list[str]]) -> str:
    """Return a table whose first row is its heading."""
    heading, *rest = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return "\n".join([heading, "|" + " --- |" * len(rows[0]), *rest])


def values_table(values: dict[str, object]) -> str:
    """Return a table of named values, each as code."""
    return markdown_table([["what", "value"], *([name, f"`{value}`"] for name, value in values.items())])


def format_number(value: float | None) -> str:
    """Return a number with four decimals, a dash for none or NaN."""
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"


def format_gain(value: float) -> str:
    """Return a difference with its sign and four decimals."""
    return f"{value:+.4f}"


def format_share(value: float) -> str:
    """Return a share of 0 .. 1 as a percentage."""
    return f"{value:.1%}"
