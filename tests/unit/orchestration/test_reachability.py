"""A server that cannot be used is told apart by why, in one paragraph that names the URL and where it is set."""

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import prefect
import pytest
from prefect.context import use_profile
from prefect.settings import PREFECT_API_URL, Profile, temporary_settings

from tests.server import free_port
from unbroken.errors import ServerError
from unbroken.orchestration.server.reachability import (
    INSTEAD_OF_A_FLOWS,
    LOOPBACK,
    bypass_proxies,
    explain_loss,
    require_server,
    without_credentials,
)

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, *map(str.upper, PROXIES), "PREFECT_API_URL"):
        monkeypatch.setenv(name, "")  # so that it is put back as it was, whoever sets it
        monkeypatch.delenv(name)


@contextmanager
def answering(status: int, content: str) -> Generator[str]:
    """Serve one answer to all questions."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def refusal(url: str) -> str:
    with temporary_settings({PREFECT_API_URL: url}), pytest.raises(ServerError) as refused:
        require_server(INSTEAD_OF_A_FLOWS)
    message = str(refused.value)
    assert message.startswith(f"{without_credentials(url)}: no Prefect server can be used there: ")
    assert message.endswith(INSTEAD_OF_A_FLOWS)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("status", "content", "says"),
    [
        (200, "<html>hello</html>", "what answers is no Prefect API, whose URL ends in /api"),
        (200, '"hello"', "what answers is no Prefect API"),
        (200, '{"version": 3}', "what answers is no Prefect API"),
        (200, "[]", "what answers is no Prefect API"),
        (200, '"4.0.1"', f"Found incompatible versions: client: {prefect.__version__}, server: 4.0.1"),
        (200, '"2.20.0"', "Major versions must match. "),
        (401, "", "it answers 401 Unauthorized, credentials are missing or wrong: set PREFECT_API_AUTH_STRING"),
        (403, "", "it answers 403 Forbidden, credentials are missing or wrong"),
        (404, "", "it answers 404 Not Found, so it is no Prefect API, whose URL ends in /api"),
        (500, "", "it answers 500 Internal Server Error. "),
    ],
)
def test_what_answers_is_no_server_that_can_be_used(status: int, content: str, says: str):
    with answering(status, content) as url:
        assert says in refusal(url)


def test_a_server_of_this_version_can_be_used():
    with answering(200, f'"{prefect.__version__}"') as url, temporary_settings({PREFECT_API_URL: url}):
        require_server(INSTEAD_OF_A_FLOWS)


@pytest.mark.parametrize("url", ["nonsense", "ftp://host/api", "http://user:pa/ss@host/api"])
def test_what_is_no_url_is_no_traceback(url: str):
    assert "pa/ss" not in refusal(url)


def test_where_nothing_listens_says_so_and_where_the_url_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    url = f"http://127.0.0.1:{free_port()}/api"

    assert "Connection refused" in refusal(url)
    assert "set by prefect.toml, pyproject.toml or .env in this folder" in refusal(url)
    monkeypatch.setenv("PREFECT_API_URL", url)
    assert "set by PREFECT_API_URL in the environment" in refusal(url)
    monkeypatch.delenv("PREFECT_API_URL")
    with use_profile(Profile(name="company", settings={PREFECT_API_URL: url})):
        assert "set by the Prefect profile 'company' in " in refusal(url)
        assert "prefect config unset PREFECT_API_URL" in refusal(url)


def test_a_proxy_on_the_way_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch):
    closed = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("HTTP_PROXY", f"http://user:secret@{closed}")

    message = refusal("http://prefect.invalid/api")

    assert f"through the proxy http://{closed} of HTTP_PROXY" in message
    assert "add prefect.invalid to NO_PROXY" in message
    assert "secret" not in message


@pytest.mark.parametrize(
    "proxies",
    [
        {"HTTP_PROXY": "http://127.0.0.1:1"},
        {"all_proxy": "http://127.0.0.1:1", "NO_PROXY": "example.com"},
        {"HTTP_PROXY": "http://127.0.0.1:1", "no_proxy": "example.com, example.org"},
        {"ALL_PROXY": "socks5://127.0.0.1:1"},
        {"https_proxy": "http://127.0.0.1:1", "NO_PROXY": "*"},
    ],
)
def test_a_server_of_this_machine_is_asked_without_the_proxies(
    proxies: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    for name, value in proxies.items():
        monkeypatch.setenv(name, value)

    bypass_proxies()

    with answering(200, "whole") as url:
        assert httpx.get(url).text == "whole"
    hosts = (os.environ.get("no_proxy") or os.environ["NO_PROXY"]).split(",")
    assert hosts == ["*"] or set(LOOPBACK) <= set(hosts)
    assert "example.com" in hosts or "example.com" not in str(proxies)


def test_without_proxies_nothing_is_changed(monkeypatch: pytest.MonkeyPatch):
    bypass_proxies()

    assert "no_proxy" not in os.environ
    assert "NO_PROXY" not in os.environ


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@host/api",
        "http://secret@host/api",
        "http://u:se/cret@x@host/api",
        "http://host/api?k=secret",
    ],
)
def test_a_url_is_shown_without_credentials(url: str):
    assert without_credentials(url) == "http://host/api"


def test_a_server_that_is_lost_on_the_way_is_one_paragraph_and_another_host_is_not_taken_for_it():
    url = f"http://127.0.0.1:{free_port()}/api"

    with temporary_settings({PREFECT_API_URL: url}):
        with pytest.raises(ServerError, match=r"lost on the way: .*Connection refused") as lost:
            explain_loss(lambda path: httpx.get(f"{url}{path}"))("/flow_runs")
        with pytest.raises(httpx.ConnectError):
            explain_loss(lambda path: httpx.get(f"http://127.0.0.1:{free_port()}{path}"))("/rows")

    assert "the same command goes on from there" in str(lost.value)
