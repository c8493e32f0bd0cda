"""A receiver of notifications: an HTTP server that counts what it is told, and a block of Prefect that tells it."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from prefect.blocks.notifications import CustomWebhookNotificationBlock

from unbroken.config import Config, DataConfig, GateConfig, ModelConfig, NotifyConfig, RetrainConfig, TrainingConfig


@dataclass
class Receiver:
    """What was told, in order; it answers with `status`."""

    url: str
    told: list[dict[str, str]] = field(default_factory=list)
    status: int = 200

    def keys(self) -> list[str]:
        return [told["text"].rpartition("key: ")[2] for told in self.told]

    def subjects(self) -> list[str]:
        return [told["subject"] for told in self.told]

    def block(self, name: str) -> str:
        """Save a block that tells it, and return its type and name."""
        text = {"subject": "{{subject}}", "text": "{{body}}"}
        CustomWebhookNotificationBlock(name=name, url=self.url, json_data=text).save(name, overwrite=True)
        return f"custom-webhook/{name}"


@contextmanager
def receiving() -> Generator[Receiver]:
    """Serve on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if receiver.status == 200:
                receiver.told.append(content)
            self.send_response(receiver.status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Write nothing to the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(url=f"http://127.0.0.1:{server.server_port}/hook")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def notified_config(folder: Path, block: str, **gate: float) -> RetrainConfig:
    """Return a retraining that takes a second, and tells a block."""
    train = Config(
        data=DataConfig(source=str(folder / "in")),
        model=ModelConfig(options={"hidden": [8]}),
        training=TrainingConfig(epochs=3, batch_size=32, learning_rate=0.02),
        runs_folder=str(folder / "runs"),
    )
    return RetrainConfig(
        model="rows",
        models_folder=str(folder / "models"),
        gate=GateConfig(resamples=100, **gate),  # ty: ignore[invalid-argument-type]
        train=replace(train, notify=NotifyConfig(block=block)),
    )
