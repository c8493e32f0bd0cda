"""The database of a server: a PostgreSQL by its URL, or the SQLite file in PREFECT_HOME."""

import asyncio
import socket
from importlib.util import find_spec

from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from unbroken.errors import ConfigError, ServerError

SQLITE = "sqlite"
"""What names the file in PREFECT_HOME; by a URL that begins so Prefect takes another file."""

DRIVER = "postgresql+asyncpg"
SPELLINGS = ("postgres", "postgresql", DRIVER)
CONNECT_SECONDS = 10.0


def connection_url(database: str) -> str | None:
    """Return the URL by which Prefect connects to a database, None for the SQLite file in PREFECT_HOME.

    Raises:
        ConfigError: It is neither `sqlite` nor the URL of a PostgreSQL; the message repeats no credentials.
    """
    if database == SQLITE:
        return None
    url = _parsed(database)
    if url is not None and url.get_backend_name() == SQLITE:
        return database
    if url is None or url.drivername not in SPELLINGS or not url.database:
        kind = "no URL" if url is None else f"{url.drivername}://{'...' if url.database else ' without a database'}"
        raise ConfigError(
            f"--database: found {kind}, expected {SQLITE} or postgresql://HOST:PORT/NAME, with user and password before the host "
            f"or in ~/.pgpass"
        )
    return url.set(drivername=DRIVER).render_as_string(hide_password=False)


def shown(database: str) -> str:
    """Return a database as it may be printed: without user, password and options."""
    url = None if database == SQLITE else _parsed(database)
    return _place(url) if url is not None and url.drivername in SPELLINGS else SQLITE


def require_database(database: str) -> None:
    """Raise ServerError, with the way out, unless a PostgreSQL answers that Prefect can use; SQLite makes its file."""
    url = connection_url(database)
    if url is None or not url.startswith(DRIVER):
        return
    place = shown(database)
    if find_spec("asyncpg") is None:
        raise ServerError(f"{place}: its driver is missing, the package asyncpg. Install it: pip install asyncpg")
    try:
        problem = asyncio.run(asyncio.wait_for(_missing(url), CONNECT_SECONDS))
    except Exception as error:
        if not isinstance(error, (OSError, SQLAlchemyError)) and not type(error).__module__.startswith("asyncpg"):
            raise
        problem = _reason(error)
    if problem:
        raise ServerError(f"{place}: the database cannot be used: {problem}. Nothing was started")


async def _missing(url: str) -> str | None:
    """Return what a database that answers lacks."""
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            extensions = await connection.execute(text("select 1 from pg_available_extensions where name = 'pg_trgm'"))
            if extensions.first() is None:
                return "it lacks the extension pg_trgm, which comes with PostgreSQL's package contrib"
            return None
    finally:
        await engine.dispose()


def _parsed(database: str) -> URL | None:
    try:
        return make_url(database)
    except (ArgumentError, ValueError):
        return None


def _reason(error: BaseException) -> str:
    kind = type(error).__name__
    if kind in {"InvalidPasswordError", "InvalidAuthorizationSpecificationError"}:
        return "it refuses user or password: mend them in the URL, or in ~/.pgpass"
    if kind == "InvalidCatalogNameError":
        return "it has no database of that name: make it with createdb"
    if isinstance(error, TimeoutError):
        return f"it did not answer within {CONNECT_SECONDS:g} s"
    if isinstance(error, socket.gaierror):
        return "there is no host of that name: mend it"
    if isinstance(error, OSError):
        return f"no PostgreSQL answers there ({kind}): start it, or mend host and port"
    return f"it answers {kind}"


def _place(url: URL) -> str:
    address = f"{url.host or 'localhost'}{f':{url.port}' if url.port else ''}"
    return f"postgresql://{address}/{url.database}"
