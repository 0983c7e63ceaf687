"""How a process reaches PostgreSQL: one spelling of the URL, one engine per process, one revision check.

The read models' functions take an `AsyncEngine`, or the `AsyncConnection` of `reading_one_moment` where
a caller wants several reads of one state. A read from an engine is one round trip, in autocommit.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
from sqlalchemy import URL, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    DisconnectionError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.breaker import Breaker
from app.errors import JournalUnavailable, StartupError
from app.storage.connection import is_server_fault

REVISION = "0003"
"""Head of migrations/versions; a test compares the two, so that serving processes need not import alembic."""

CONNECT_TIMEOUT_S = 5.0
POOL_WAIT_S = 5.0
STATEMENT_TIMEOUT_MS = 10_000
LOCK_TIMEOUT_MS = 1_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 5_000
HELD_MAX_S = 30.0
"""Longest time a connection is held for one read or change, all of its statements together."""

CONNECT_FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
"""What asyncpg.connect raises when there is no server, no such database or user, or a wrong password."""

_BREAKER = "breaker"
_SCHEMES = {"postgres", "postgresql", "postgresql+asyncpg"}


def _parsed(url: str) -> URL:
    # The message must not repeat the text: it may hold a password.
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StartupError("DATABASE_URL: expected postgresql://user:password@host:port/name") from None
    if parsed.drivername not in _SCHEMES:
        raise StartupError(f"DATABASE_URL: expected the scheme postgresql, was {parsed.drivername}")
    return parsed


def asyncpg_dsn(url: str) -> str:
    """Return the URL as asyncpg reads it. Raises StartupError if it is no PostgreSQL URL."""
    return _parsed(url).set(drivername="postgresql").render_as_string(hide_password=False)


def server_place(url: str) -> str:
    """Return `host:port/name` of a URL for messages, without user and password."""
    parsed = _parsed(url)
    return f"{parsed.host or 'localhost'}:{parsed.port or 5432}/{parsed.database or ''}"


def create_database_engine(url: str, *, pool_size: int, breaker: Breaker | None = None) -> AsyncEngine:
    """Return an engine for postgres://, postgresql:// or postgresql+asyncpg:// with at most `pool_size` connections.

    Connects nothing yet. While the breaker is open, the three functions below raise at once. asyncpg reads
    the URL itself, so that `sslmode` and the like mean the same here and in the journal.
    """
    dsn = asyncpg_dsn(url)

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_S,
            server_settings={
                "application_name": "orderwire",
                "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                "lock_timeout": str(LOCK_TIMEOUT_MS),
                "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT_MS),
                "timezone": "UTC",
            },
        )

    engine = create_async_engine(
        _parsed(url).set(drivername="postgresql+asyncpg"),
        async_creator=connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_S,
        execution_options={_BREAKER: breaker},
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(connection: DBAPIConnection, *_: object) -> None:
    """Let the pool replace a connection that died with its server, before a reader notices.

    The driver knows without asking: a ping would cost three round trips before each read.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError


@asynccontextmanager
async def reading(source: AsyncEngine | AsyncConnection) -> AsyncIterator[AsyncConnection]:
    """Yield a connection for one read: autocommit from an engine, as it is when the caller holds a connection.

    Like the two below it raises JournalUnavailable when PostgreSQL is away.
    """
    if isinstance(source, AsyncConnection):
        yield source
        return
    async with _outages_named(source), source.connect() as connection, _cut_when_late(connection):
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")


@asynccontextmanager
async def reading_one_moment(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Yield a connection whose reads all see the same committed state."""
    async with _outages_named(engine), engine.connect() as connection, _cut_when_late(connection):
        yield await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


@asynccontextmanager
async def writing(source: AsyncEngine | AsyncConnection) -> AsyncIterator[AsyncConnection]:
    """Yield a connection for one change: committed at the end, or left to the caller who holds the connection."""
    if isinstance(source, AsyncConnection):
        yield source
        return
    async with _outages_named(source), source.begin() as connection, _cut_when_late(connection):
        yield connection


@asynccontextmanager
async def _outages_named(engine: AsyncEngine) -> AsyncIterator[None]:
    """Tell an outage, which has a name and may pass, from a mistake of ours, which stays what it is."""
    breaker: Breaker | None = engine.get_execution_options().get(_BREAKER)
    if breaker is None:
        with _outage_named():
            yield
        return
    wait_ms = breaker.admit()
    if wait_ms:
        raise JournalUnavailable("PostgreSQL is left alone for now", retry_after_ms=wait_ms)
    with breaker.judging((JournalUnavailable,)), _outage_named():
        yield


@contextmanager
def _outage_named() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, *CONNECT_FAULTS) as fault:
        cause = _driver_error(fault)
        if isinstance(fault, PoolTimeoutError) or is_server_fault(cause):
            raise JournalUnavailable(f"PostgreSQL: {type(cause).__name__}: {cause}") from fault
        raise


@asynccontextmanager
async def _cut_when_late(connection: AsyncConnection) -> AsyncIterator[None]:
    """Cut a connection that is held for too long: a frozen server keeps no timeout of its own."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None  # noqa: S101  # it is connected
    alarm = asyncio.get_running_loop().call_later(HELD_MAX_S, driver.terminate)
    try:
        yield
    finally:
        alarm.cancel()


def _driver_error(fault: BaseException) -> BaseException:
    """Return what the driver said, without SQLAlchemy's wrapping and without the statement."""
    if isinstance(fault, DBAPIError) and fault.orig is not None:
        return fault.orig.__cause__ or fault.orig
    return fault


async def require_revision(engine: AsyncEngine) -> None:
    """Raise StartupError unless the database answers and stands at this code's revision."""
    place = f"{engine.url.host or 'localhost'}:{engine.url.port or 5432}/{engine.url.database or ''}"
    try:
        async with reading(engine) as connection:
            found = (await connection.scalars(text("SELECT version_num FROM alembic_version"))).all()
    except ProgrammingError:
        raise StartupError(f"database {place} has no tables yet: run `orderwire migrate`") from None
    except (JournalUnavailable, SQLAlchemyError, *CONNECT_FAULTS) as fault:
        raise cannot_use(place, fault) from fault
    if list(found) != [REVISION]:
        raise StartupError(
            f"database {place}: expected revision {REVISION}, was {', '.join(found) or 'none'}: run `orderwire migrate`"
        )


def cannot_use(place: str, fault: BaseException) -> StartupError:
    """Return the one line that an operator sees when a database cannot be used."""
    if isinstance(fault, JournalUnavailable) and fault.__cause__ is not None:
        fault = fault.__cause__
    cause = _driver_error(fault)
    lines = str(cause).splitlines() or ["no answer"]
    return StartupError(f"cannot use the database {place}: {type(cause).__name__}: {lines[0]}")
