"""A SQLite file under a Prefect server that neither refuses a writer nor stands still.

Prefect begins most of its transactions as readers. SQLite refuses the first write of one at once where another has written
meanwhile ("database is locked"), however long the busy timeout; a transaction that begins as a writer waits for its turn.

A statement that was refused stays open, and with it its cursor, in the traceback. The garbage collector frees both, mostly in
the thread of the event loop, which then waits for the mutex of the cursor's connection. If that connection itself waits for the
lock of the database, whose holder waits for the event loop, the server answers nobody until the busy timeout of 60 s ends.
"""

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.database.dependencies import set_database_config
from prefect.server.utilities.database import get_dialect
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, AsyncSessionTransaction


class ClosingCursor(sqlite3.Cursor):
    """A cursor that a refused statement closes, in the thread of its connection."""

    def execute(self, *arguments: Any) -> "ClosingCursor":
        """Run a statement; raise sqlite3.Error if it is refused."""
        try:
            return super().execute(*arguments)
        except sqlite3.Error:
            self.close()
            raise

    def executemany(self, *arguments: Any) -> "ClosingCursor":
        """Run a statement for each of many rows; raise sqlite3.Error if it is refused."""
        try:
            return super().executemany(*arguments)
        except sqlite3.Error:
            self.close()
            raise


class ClosingConnection(sqlite3.Connection):
    """A connection all of whose cursors are closed by a refused statement."""

    def cursor(self, factory: Any = ClosingCursor) -> Any:
        """Return a new cursor."""
        return super().cursor(factory)


class WaitingSqlite(AioSqliteConfiguration):
    """Prefect's SQLite database, each of whose transactions begins as a writer."""

    async def engine(self) -> AsyncEngine:
        """Return the engine of the running event loop."""
        engine = await super().engine()
        if not event.contains(engine.sync_engine, "do_connect", _use_closing_connection):
            event.listen(engine.sync_engine, "do_connect", _use_closing_connection)
        return engine

    @asynccontextmanager
    async def begin_transaction(
        self,
        session: AsyncSession,
        with_for_update: bool = False,  # noqa: ARG002 (every transaction waits for its turn)
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        """Begin a transaction, once no other writes any more."""
        async with super().begin_transaction(session, with_for_update=True) as transaction:
            yield transaction


def wait_for_locks() -> None:
    """Let the server of this process, if its database is a SQLite file, wait where Prefect's own would refuse."""
    url = PREFECT_API_DATABASE_CONNECTION_URL.value()
    if get_dialect(url).name == "sqlite":
        set_database_config(WaitingSqlite(connection_url=url))


def _use_closing_connection(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
    options["factory"] = ClosingConnection
