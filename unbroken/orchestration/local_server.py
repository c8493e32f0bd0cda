"""The process of such a server (see `server`): `python -m unbroken.orchestration.local_server DESCRIPTOR`.

It listens at a socket that its parent has bound, so that no port is found taken, and ends when the pipe at its standard
input closes, which the kernel does when the parent ends, whatever ends it.
"""

import os
import socket
import sys
import threading
from typing import TYPE_CHECKING

from unbroken.orchestration.garbage import collector_paused, freeze_at_exit

if TYPE_CHECKING:
    import uvicorn


def main() -> None:
    """Serve until the parent ends."""
    freeze_at_exit()
    with collector_paused():
        import uvicorn  # noqa: PLC0415 (the collector must be off before)
        from prefect.server.api.server import create_app  # noqa: PLC0415

        app = create_app(ephemeral=True, final=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
    threading.Thread(target=_stop_with_parent, args=(server,), daemon=True).start()
    server.run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


def _stop_with_parent(server: "uvicorn.Server") -> None:
    os.read(sys.stdin.fileno(), 1)
    server.should_exit = True


if __name__ == "__main__":
    main()
