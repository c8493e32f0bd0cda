"""A server that took the last state of a run, and whose answer never came."""

import socket
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from unbroken.errors import BlockedError
from unbroken.orchestration.flow_decorators import resumable_flow, skipped


@dataclass
class LossyProxy:
    """Carries bytes to a server and back, but not the first answer to a last state."""

    port: int
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    lost: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.port))
                asked: list[bytes] = []
                threading.Thread(target=self._carry, args=(client, server, asked.append), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client, asked), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, see: Callable[[bytes], None]) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                see(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket, asked: list[bytes]) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                request = b"".join(asked)
                asked.clear()
                last = b"/set_state" in request and (b'"COMPLETED"' in request or b'"FAILED"' in request)
                if last and not self.lost.is_set():
                    self.lost.set()
                    break
                client.sendall(data)
        for end in (client, server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes who reads there, which closing does not
            end.close()


@pytest.fixture
def proxy(prefect_server: str) -> Generator[LossyProxy]:
    port = httpx.URL(prefect_server).port
    assert port
    proxy = LossyProxy(port)
    threading.Thread(target=proxy.run, daemon=True).start()
    url = f"http://127.0.0.1:{proxy.listener.getsockname()[1]}/api"
    with temporary_settings({PREFECT_API_URL: url}):
        yield proxy  # and listens on, for what Prefect sends at the end of the process


def test_a_flow_whose_last_state_was_taken_but_not_answered_gives_its_result(proxy: LossyProxy):
    @resumable_flow("nothing new", "nothing")
    def nothing_new() -> Any:
        return skipped()

    assert nothing_new() == "Skipped: nothing new"
    assert proxy.lost.is_set()


def test_a_flow_whose_failure_was_taken_but_not_answered_raises_its_error(proxy: LossyProxy):
    @resumable_flow("blocked", "blocked")
    def blocked() -> Any:
        raise BlockedError("a.csv: found no rows, expected some", data="a.csv", rule="rows")

    with pytest.raises(BlockedError, match="found no rows"):
        blocked()
    assert proxy.lost.is_set()
