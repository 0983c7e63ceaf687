"""Real servers for every test that needs them.

`DATABASE_URL` and `REDIS_URL` are honored when set; otherwise local servers are started once per
session. Either way a test gets a database and a key prefix of its own, and never flushes, kills or
stops a server that it did not start.
"""

import os
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from app.dev.servers import LocalServers
from tests.own_process import process_kept

PREFIX = "orderwire_test"

# A shell starts background jobs with Ctrl+C ignored, and children inherit that: what tests interrupt would not stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def role_in_process() -> Iterator[None]:
    """For tests that run a role in their own process: what it changes of the process is put back."""
    with process_kept():
        yield


def database_named(url: str, name: str) -> str:
    """Return a PostgreSQL URL with another database in it."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def administer(url: str, statement: str) -> None:
    """Run one statement that cannot run in a transaction."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def servers() -> Iterator[LocalServers]:
    """PostgreSQL and Valkey, with `.database_url` of the maintenance database and `.redis_url`."""
    database_url, redis_url = (os.environ.get(name) or None for name in ("DATABASE_URL", "REDIS_URL"))
    with LocalServers(database_url=database_url, redis_url=redis_url) as running:
        yield running


@pytest.fixture(scope="session")
def template_database(servers: LocalServers) -> Iterator[str]:
    """Name of a migrated database without connections, to copy."""
    import asyncio

    from app.storage.migrate import upgrade
    from tests.database_roles import make_test_logins

    name = f"{PREFIX}_template_{secrets.token_hex(4)}"
    asyncio.run(administer(servers.database_url, f"CREATE DATABASE {name}"))
    try:
        upgrade(database_named(servers.database_url, name))
        asyncio.run(make_test_logins(servers.database_url))
        yield name
    finally:
        asyncio.run(administer(servers.database_url, f"DROP DATABASE {name} WITH (FORCE)"))


@asynccontextmanager
async def fresh_database(servers: LocalServers, template_database: str) -> AsyncIterator[str]:
    """Yield the URL of a migrated database that is dropped at the end."""
    name = f"{PREFIX}_{secrets.token_hex(6)}"
    await administer(servers.database_url, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    try:
        yield database_named(servers.database_url, name)
    finally:
        await administer(servers.database_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database_url(servers: LocalServers, template_database: str) -> AsyncIterator[str]:
    """URL of a fresh migrated database."""
    async with fresh_database(servers, template_database) as url:
        yield url


@pytest.fixture
async def other_database_url(servers: LocalServers, template_database: str) -> AsyncIterator[str]:
    """URL of a second fresh migrated database."""
    async with fresh_database(servers, template_database) as url:
        yield url


@pytest.fixture
def redis_url(servers: LocalServers) -> str:
    """URL of the Valkey or Redis server; use it with `shard_prefix` only."""
    return servers.redis_url


@pytest.fixture
def shard_prefix() -> str:
    """Unique start of every Redis key that a test uses."""
    return f"{PREFIX}:{secrets.token_hex(6)}:"
