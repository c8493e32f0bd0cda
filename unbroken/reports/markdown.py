"""Tables and numbers as Markdown, for reports."""

import math


def markdown_table(rows: list[list[str]]) -> str:
    """Return a table whose first row is its heading."""
    heading, *rest = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return "\n".join([heading, "|" + " --- |" * len(rows[0]), *rest])


def values_table(values: dict[str, object]) -> str:
    """Return a table of named values."""
    return markdown_table([["what", "value"], *([name, f"`{value}`"] for name, value in values.items())])


def number(value: float | None) -> str:
    """Return a number with four decimals, a dash for none."""
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"
