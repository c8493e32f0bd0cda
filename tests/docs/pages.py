"""README and docs as a reader takes them: their links, their headings, and the commands that they show."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RUNNABLE = ("sh", "python")
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>.+?) -->")
FOREIGN = re.compile(r"[a-z]+:")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of a page.

    Attributes:
        language: The word behind its fence.
        text: What is in it.
        line: Where it begins in the page, counted from 1.
        not_run: Why it is not run, if it says so.
        output: What is demanded of its output, if a block of `text` follows it.
    """

    language: str
    text: str
    line: int
    not_run: str | None
    output: tuple[str, ...] = ()


def tokens(page: Path) -> list[Token]:
    """Return a page as CommonMark with tables reads it."""
    return MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8"))


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    result: list[Block] = []
    before: Token | None = None
    reason: str | None = None
    for token in tokens(page):
        if token.type == "html_block":
            match = NOT_RUN.search(token.content)
            reason = match["reason"] if match else None
        elif token.type == "fence":
            if token.info == "text" and before is not None and before.info in RUNNABLE:
                result[-1] = replace(result[-1], output=tuple(token.content.splitlines()))
            else:
                result.append(Block(language=token.info, text=token.content, line=_line(token), not_run=reason))
            before, reason = token, None
        elif token.type == "heading_open":
            before = None
    return result


def _line(token: Token) -> int:
    return (token.map or [0])[0] + 1


def anchors(page: Path) -> set[str]:
    """Return what can stand behind `#` in a link to a page, as GitHub makes it of headings."""
    texts = [inline.content for inline in _headings(tokens(page))]
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


def _headings(page: list[Token]) -> Iterator[Token]:
    for token, inline in itertools.pairwise(page):
        if token.type == "heading_open":
            yield inline


def links(page: Path) -> Iterator[str]:
    """Yield where the links and pictures of a page lead, those to other sites left out."""
    for token in tokens(page):
        for inline in token.children or []:
            target = str(inline.attrGet("href") or inline.attrGet("src") or "")
            if target and not FOREIGN.match(target):
                yield target


def code_spans(page: Path) -> Iterator[str]:
    """Yield what stands between backticks in the text and the tables of a page."""
    for token in tokens(page):
        yield from (inline.content for inline in token.children or [] if inline.type == "code_inline")
