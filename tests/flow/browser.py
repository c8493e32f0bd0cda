"""The UI as a person sees it, in headless Chromium."""

import html
import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    "--force-prefers-reduced-motion",
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--window-size=1400,1300", "--virtual-time-budget=15000"),
)
SECONDS = 120


def screenshot(url: str, path: Path) -> None:
    """Save a page as PNG, once it has come to rest."""
    _chromium(f"--screenshot={path}", url)


def text_of(url: str) -> str:
    """Return the words of a page, once it has come to rest."""
    page = re.sub(r"<(script|style).*?</\1>", "", _chromium("--dump-dom", url), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def _chromium(*arguments: str) -> str:
    with TemporaryDirectory() as profile:
        command = ["chromium", f"--user-data-dir={profile}", *OPTIONS, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True).stdout
