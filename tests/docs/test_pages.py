"""What README and docs say is there: pages, anchors, settings, messages."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from docs import reference
from tests.docs.pages import PAGES, ROOT, anchors, blocks, code_spans, links

LINES = 200
LANGUAGES = {"sh", "python", "text", "toml", "yaml"}
GAP = "\0"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_of_a_page_leads_somewhere(page: Path):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_block_says_what_it_is(page: Path):
    assert {block.language for block in blocks(page)} <= LANGUAGES


def test_the_readme_fits_on_a_few_screens_and_leads_to_each_page():
    readme = ROOT / "README.md"

    assert len(readme.read_text("utf-8").splitlines()) <= LINES
    reachable = {link.partition("#")[0] for page in PAGES for link in links(page)}
    assert {page.name for page in (ROOT / "docs").glob("*.md")} <= {Path(link).name for link in reachable}


def test_the_reference_of_the_settings_is_that_of_the_code():
    assert reference.PAGE.read_text("utf-8") == reference.page(), "type: make docs"


@cache
def texts_of_the_source() -> str:
    """Return all texts in the library but its docstrings, with a gap where a value is put in."""
    texts = []
    for path in sorted((ROOT / "unbroken").rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else GAP for part in node.values]
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
                texts.append(re.sub(r"%[sdr]", GAP, node.value))
    return "\n".join(texts)


def test_the_runbook_quotes_messages_that_there_are():
    messages = [text for text in code_spans(ROOT / "docs" / "runbook.md") if " " in text and not is_command(text)]

    assert len(messages) > 20
    for message in messages:
        pattern = r"[^\n]*?".join(re.escape(part) for part in message.split("..."))
        assert re.search(pattern, texts_of_the_source()), message


def is_command(text: str) -> bool:
    return text.startswith(("unbroken ", "--", "make "))
