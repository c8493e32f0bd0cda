"""The UI as a person sees it, in headless Chromium, which is told what to do by its own protocol."""

import base64
import itertools
import json
import re
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from websockets.sync.client import connect
from websockets.sync.connection import Connection

OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    "--force-prefers-reduced-motion",
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--window-size=1400,1300", "--remote-debugging-port=0"),
)
SECONDS = 120
REST_SECONDS = 2.0
LARGEST_MESSAGE = 1 << 26


@dataclass
class Page:
    """One page of a browser."""

    socket: Connection
    numbers: Any = field(default_factory=itertools.count)
    events: list[dict[str, Any]] = field(default_factory=list)
    """What the browser told without being asked, once it was told to (`watch`)."""

    def watch(self, *domains: str) -> None:
        """Have the browser tell what happens, such as `Network`."""
        for domain in domains:
            self._do(f"{domain}.enable")

    def look_as(self, width: int, theme: str) -> None:
        """Be so wide, on a device whose theme is light or dark."""
        self._do("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self._do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def ask(self, expression: str) -> Any:
        """Return what an expression is in the page."""
        return self._evaluate(expression)

    def open(self, url: str) -> None:
        """Go to a page and wait until it has come to rest."""
        self._do("Page.navigate", url=url)
        self.rest()

    def log_in(self, secret: str) -> None:
        """Type a secret where the page asks for one, as a person does."""
        self._evaluate("document.querySelector('input[type=password]').focus()")
        self._do("Input.insertText", text=secret)
        for kind in ("keyDown", "keyUp"):
            self._do(
                "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13
            )
        self.rest()

    def rest(self) -> None:
        """Wait until the page shows some words, and the same ones for a while."""
        deadline, before, since = time.monotonic() + SECONDS, "", time.monotonic()
        while not before or time.monotonic() - since < REST_SECONDS:
            assert time.monotonic() < deadline, before
            time.sleep(0.2)
            words = self.words()
            if words != before:
                before, since = words, time.monotonic()

    def words(self) -> str:
        """Return the words that the page shows."""
        return re.sub(r"\s+", " ", self._evaluate("document.body ? document.body.innerText : ''"))

    def url(self) -> str:
        """Return where the page is."""
        return self._evaluate("location.href")

    def keep(self, path: Path, *, whole: bool = False) -> None:
        """Save what is seen of the page, or all of it, as PNG."""
        path.parent.mkdir(exist_ok=True)
        picture = self._do("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(picture))

    def _evaluate(self, expression: str) -> Any:
        return self._do("Runtime.evaluate", expression=expression)["result"].get("value", "")

    def _do(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self.socket.recv(SECONDS))).get("id") != number:
            self.events.append(answer)
        assert "result" in answer, answer
        return answer["result"]


@contextmanager
def page() -> Generator[Page]:
    """Start a browser with an empty profile, and end it afterwards."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = ["chromium", f"--user-data-dir={profile}", *OPTIONS, "about:blank"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                with connect(_address(Path(profile)), max_size=LARGEST_MESSAGE, proxy=None) as socket:
                    yield Page(socket)
            finally:
                process.kill()


def _address(profile: Path) -> str:
    """Return where the only page of a browser is told what to do, once the browser has said it."""
    deadline = time.monotonic() + SECONDS
    active = profile / "DevToolsActivePort"
    while not (active.exists() and active.read_text().count("\n")):
        assert time.monotonic() < deadline, "the browser does not start"
        time.sleep(0.1)
    port = active.read_text().splitlines()[0]
    targets = httpx.get(f"http://127.0.0.1:{port}/json", timeout=SECONDS, trust_env=False).json()
    return next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page")
