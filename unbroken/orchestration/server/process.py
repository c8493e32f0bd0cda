"""The process of such a server (see `ephemeral`): `python -m unbroken.orchestration.server.process DESCRIPTOR`.

It listens at a socket that its parent has bound, so that no port is found taken, and ends when the pipe at its standard
input closes, which the kernel does when the parent ends, whatever ends it.
"""

import os
import socket
import sys
import threading
from typing import TYPE_CHECKING

from unbroken.orchestration.garbage import collector_paused, freeze_at_exit
from unbroken.storage import own_files

if TYPE_CHECKING:
    import uvicorn


def main() -> None:
    """Serve until the parent ends."""
    freeze_at_exit()
    with collector_paused():
        import uvicorn  # noqa: PLC0415 (the collector must be off before)
        from prefect.server.api.server import create_app  # noqa: PLC0415
        from prefect.settings import PREFECT_API_DATABASE_MIGRATE_ON_START, temporary_settings  # noqa: PLC0415

        from unbroken.orchestration.server.sqlite import wait_for_locks  # noqa: PLC0415

        wait_for_locks()
        app = create_app(ephemeral=True, final=True)
        _migrate()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
    threading.Thread(target=_stop_with_parent, args=(server,), daemon=True).start()
    with temporary_settings({PREFECT_API_DATABASE_MIGRATE_ON_START: False}):  # done above
        server.run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


def _migrate() -> None:
    """Bring the database up to date, one process at a time: two at once fail in the middle of it."""
    import anyio  # noqa: PLC0415 (as above)
    from prefect.server.database import provide_database_interface  # noqa: PLC0415
    from prefect.settings import PREFECT_API_DATABASE_MIGRATE_ON_START, PREFECT_HOME  # noqa: PLC0415

    home = PREFECT_HOME.value()
    home.mkdir(parents=True, exist_ok=True)
    if PREFECT_API_DATABASE_MIGRATE_ON_START.value():
        with own_files.lock(home / "migration.lock"):
            anyio.run(provide_database_interface().create_db)


def _stop_with_parent(server: "uvicorn.Server") -> None:
    os.read(sys.stdin.fileno(), 1)
    server.should_exit = True


if __name__ == "__main__":
    main()
