"""The SQLite file under a server of ours: writers wait, and nothing is left of what was refused."""

import asyncio
import gc
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.exc import OperationalError

from unbroken.orchestration.server.sqlite import ClosingConnection, WaitingSqlite

READ, WRITE = sa.text("select count(*) from line"), sa.text("insert into line values (1)")


async def write_after_a_look(database: AioSqliteConfiguration) -> int:
    """Let two transactions look first, then write; return how many lines there are."""
    engine = await database.engine()
    async with engine.begin() as connection:
        await connection.execute(sa.text("create table line (number)"))
    looked = asyncio.Event()

    async def write(before: asyncio.Event | None) -> None:
        async with await database.session(engine) as session, database.begin_transaction(session):
            await session.execute(READ)
            looked.set()
            if before:
                await asyncio.sleep(0.2)
            await session.execute(WRITE)

    first = asyncio.create_task(write(looked))
    await looked.wait()
    results = await asyncio.gather(first, write(None), return_exceptions=True)
    async with engine.connect() as connection:
        count = (await connection.execute(READ)).scalar_one()
    await engine.dispose()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return count


def test_two_transactions_that_look_and_then_write_both_do(tmp_path: Path):
    url = f"sqlite+aiosqlite:///{tmp_path}/prefect.db"

    assert asyncio.run(write_after_a_look(WaitingSqlite(connection_url=url))) == 2


def test_prefects_own_database_refuses_one_of_them(tmp_path: Path):
    url = f"sqlite+aiosqlite:///{tmp_path}/prefect.db"

    with pytest.raises(OperationalError, match="database is locked"):
        asyncio.run(write_after_a_look(AioSqliteConfiguration(connection_url=url)))


def test_a_refused_statement_leaves_no_open_cursor(tmp_path: Path):
    holder = sqlite3.connect(tmp_path / "file.db", isolation_level=None)
    holder.execute("create table line (number)")
    holder.execute("begin immediate")
    waiting = sqlite3.connect(tmp_path / "file.db", factory=ClosingConnection, timeout=0.0, isolation_level=None)
    cursor = waiting.cursor()

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        cursor.execute("insert into line values (1)")

    with pytest.raises(sqlite3.ProgrammingError, match="closed cursor"):
        cursor.fetchone()
    holder.close()
    waiting.close()
    gc.collect()
