"""The sections on who won, why, and in which rows the challenger is worse."""

from typing import Any

from unbroken.charts.page import Page, details, paragraph, table, tiles, values_table
from unbroken.charts.retraining.both import Both, ChangedSlice, Gain, worse
from unbroken.charts.trust import OF_ERROR, OF_LOSS
from unbroken.config import GateConfig
from unbroken.reports.markdown import format_gain, format_number
from unbroken.retraining.gate import Verdict
from unbroken.serving.registry import AWAITS

CHALLENGER = "challenger"
MOST_SHOWN, MOST_DRAWN = 15, 12
GATE = "the gate of unbroken retrain"


def add_verdict(
    page: Page, verdict: Verdict, both: Both | None, opponent: str, rule: GateConfig, event: dict[str, Any]
) -> None:
    """Add who won, by how much, by which rule, and when that was decided.

    Args:
        page: The page.
        verdict: What the gate said.
        both: Both models on the rows that judged, if they could be measured.
        opponent: What the challenger was compared with.
        rule: What the gate asked for.
        event: The decision as the audit log has it; empty where it does not.
    """
    name, low, high = words(verdict.metric), format_gain(verdict.low), format_gain(verdict.high)
    word, kind = ("promoted", "good") if verdict.promote else ("not promoted", "warn")
    if event.get("event") == AWAITS:
        word, kind = AWAITS, "warn"
    cards = [
        (format_number(verdict.champion), f"{name} of the {opponent}", "", ""),
        (format_number(verdict.challenger), f"{name} of the {CHALLENGER}", word, kind),
        (format_gain(verdict.gain), "gain; positive is better", f"{rule.confidence:.0%}: {low} .. {high}", kind),
        (f"{verdict.rows:,}", "rows judged, which neither saw", "", ""),
    ]
    gains = both.gains if both else ()
    told: dict[str, object] = {
        "when (UTC)": str(event.get("time", "not yet decided"))[:19].replace("T", " "),
        "who": str(event.get("by", GATE)),
        "why": verdict.reason,
        "rule": rule_in_words(verdict, rule),
    }
    page.add(
        "Who won?",
        "Verdict",
        tiles(cards),
        paragraph(f"{word.capitalize() if verdict.promote else 'The champion stays'}: {verdict.reason}."),
        gains_table(gains, opponent) if gains else "",
        _agreement(both, opponent) if both and both.names else "",
        values_table(told),
    )


def rule_in_words(verdict: Verdict, rule: GateConfig) -> str:
    """Return when a challenger is promoted."""
    text = (
        f"the {rule.confidence:.0%} interval of the gain in {verdict.metric}, over {rule.resamples:,} resamples of the rows, "
        f"lies above {rule.margin:g}"
    )
    if not rule.slices:
        return text
    slices = f"{', '.join(rule.slices)} of {rule.slice_rows:,} rows or more"
    return f"{text}, and no slice by {slices} falls by more than {rule.slice_bound:g}"


def gains_table(gains: tuple[Gain, ...], opponent: str) -> str:
    """Return all metrics of both models, that which judged first."""
    heading = ["metric", opponent, CHALLENGER, "gain", "its interval"]
    rows = [
        [
            words(gain.metric) + (" (judged)" if not index else ""),
            format_number(gain.champion),
            format_number(gain.challenger),
            format_gain(gain.gain),
            " .. ".join(map(format_gain, gain.interval)) if gain.interval else "-",
        ]
        for index, gain in enumerate(gains)
    ]
    return table([heading, *rows], numbers=range(1, 5))


def add_slices(page: Page, both: Both, verdict: Verdict, opponent: str) -> None:
    """Add the slices in which the challenger is worse by more than chance, and those that the gate looked at."""
    title = OF_ERROR if both.task == "regression" else OF_LOSS
    slices = both.slices()
    every, fallen = [part for column in slices.values() for part in column], worse(slices)
    told = (
        f"The {title} of the {opponent} is {both.champion.losses.mean():.5g}, that of the {CHALLENGER} "
        f"{both.challenger.losses.mean():.5g}. {len(fallen) or 'None'} of {len(every):,} slices got worse by more "
        f"than chance, which alone makes about {len(every) * 0.025:.0f} of them look so."
    )
    figures = []
    if page.bundle and every:
        from unbroken.charts.retraining.figures import rises  # noqa: PLC0415 (an extra)

        moved = sorted(every, key=lambda part: part.margin - part.rise)[:MOST_DRAWN]
        note = "right of the line: worse; lines are 95% intervals, rows are in brackets"
        figures = [(f"The slices that fare worst: rise of the {title}", note, rises(moved, f"rise of the {title}"))]
    page.add(
        "Where did it get worse?",
        "Slices",
        paragraph(told),
        _slices_table(fallen[:MOST_SHOWN], title, opponent) if fallen else "",
        page.charts(*figures),
        _gate_slices(verdict, opponent),
        details(f"All {len(every):,} slices of {len(slices):,} columns", _slices_table(every, title, opponent))
        if every
        else "",
    )


def words(name: str) -> str:
    """Return the name of a metric as a page shows it."""
    return name.replace("_", " ")


def _gate_slices(verdict: Verdict, opponent: str) -> str:
    if not verdict.slices:
        return ""
    heading = [
        "slice of the gate",
        "rows",
        f"{words(verdict.metric)} of the {opponent}",
        f"of the {CHALLENGER}",
        "gain",
    ]
    rows = [
        [
            part.name,
            f"{part.rows:,}",
            format_number(part.champion),
            format_number(part.challenger),
            format_gain(part.gain),
        ]
        for part in sorted(verdict.slices, key=lambda part: part.gain)
    ]
    return table([heading, *rows], numbers=range(1, 5))


def _agreement(both: Both, opponent: str) -> str:
    """Return on how many of the rows each of the models is right."""
    labels = both.challenger.labels
    before, now = (scores.probabilities.argmax(1) == labels for scores in (both.champion, both.challenger))
    counts = [
        ("both are right", before & now),
        (f"the {CHALLENGER} alone is right", now & ~before),
        (f"the {opponent} alone is right", before & ~now),
        ("neither is right", ~before & ~now),
    ]
    rows = [[name, f"{mask.sum():,}", f"{mask.mean():.1%}"] for name, mask in counts]
    return table([["on rows of which", "rows", "share"], *rows], numbers=(1, 2))


def _slices_table(parts: list[ChangedSlice], title: str, opponent: str) -> str:
    heading = ["column", "slice", "rows", f"{title} of the {opponent}", f"of the {CHALLENGER}", "rise", "95% interval"]
    rows = [
        [
            part.column,
            part.name,
            f"{part.rows:,}",
            f"{part.champion:.4f}",
            f"{part.challenger:.4f}",
            f"{part.rise:+.4f}" + (" (worse)" if part.worse else ""),
            f"± {part.margin:.4f}",
        ]
        for part in parts
    ]
    return table([heading, *rows], numbers=range(2, 7))
