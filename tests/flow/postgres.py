"""A PostgreSQL of this machine, started for a test in a folder of its own and ended with it."""

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from tests.server import PATIENCE, free_port

USER, PASSWORD = "unbroken", "se:cr@t"
IN_URL = "unbroken:se%3Acr%40t@"
"""User and password as a URL has them."""


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, which Debian keeps off the path, if it is installed."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else None


@contextmanager
def postgres(folder: Path) -> Generator[int]:
    """Start a PostgreSQL with the programs in a folder, make its database `runs`, and yield its port."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        data = Path(name)
        (data / "password").write_text(PASSWORD)
        options: dict[str, Any] = {"user": _user(data), "cwd": data, "stdout": subprocess.DEVNULL}
        making = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={data}/password", "--no-sync"]
        subprocess.run([folder / "initdb", f"--pgdata={data}/data", *making], check=True, **options)
        port = free_port()
        serving = ["-D", f"{data}/data", "-p", str(port), "-h", "127.0.0.1", "-k", name, "-F"]
        server = subprocess.Popen([folder / "postgres", *serving], stderr=subprocess.DEVNULL, **options)
        try:
            asyncio.run(_make_database(port, server))
            yield port
        finally:
            server.terminate()
            server.wait()


def ask(port: int, query: str) -> Any:
    """Return the one value that a query gives."""

    async def value() -> Any:
        connection = await asyncpg.connect(host="127.0.0.1", port=port, user=USER, password=PASSWORD, database="runs")
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(value())


async def _make_database(port: int, server: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        assert server.poll() is None, "PostgreSQL ended"
        assert time.monotonic() < deadline, "PostgreSQL does not answer"
        try:
            login = {"host": "127.0.0.1", "port": port, "user": USER, "password": PASSWORD}
            connection = await asyncpg.connect(**login, database="postgres")
        except (OSError, asyncpg.CannotConnectNowError):
            await asyncio.sleep(0.2)
        else:
            await connection.execute("create database runs")
            return await connection.close()


def _user(folder: Path) -> str | None:
    """Give a folder to a user for whom PostgreSQL starts, which root is not; None: the present one."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = "postgres" if "postgres" in names else "nobody"
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, user)
    return user
