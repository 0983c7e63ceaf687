"""One migrated database for a module's tests; those that write take a shard of their own."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.dev.servers import LocalServers
from app.projections.core import CoreProjector
from app.storage.database import create_database_engine
from tests.journal_rows import chain
from tests.market_stream import MarketStream

PROJECTED_SHARD = 0
_shards = itertools.count(1)


@pytest.fixture(scope="module")
def module_database_url(servers: LocalServers, template_database: str) -> Iterator[str]:
    """URL of a migrated database that a module's tests share."""
    name = f"{template_database}_{secrets.token_hex(4)}"

    async def administer(statement: str) -> None:
        connection = await asyncpg.connect(servers.database_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(administer(f"CREATE DATABASE {name} TEMPLATE {template_database}"))
    try:
        yield urlunsplit(urlsplit(servers.database_url)._replace(path=f"/{name}"))
    finally:
        asyncio.run(administer(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def shard() -> int:
    """Number of a shard that no other test uses."""
    return next(_shards)


@pytest.fixture
async def engine(module_database_url: str) -> AsyncIterator[AsyncEngine]:
    """Pool on the module's database."""
    engine = create_database_engine(module_database_url, pool_size=3)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="module")
def projected(module_database_url: str) -> MarketStream:
    """A random market whose events are projected into the module's database."""
    stream = MarketStream(seed=11)

    async def project() -> None:
        projector = CoreProjector(module_database_url, PROJECTED_SHARD)
        await projector.apply(chain([stream.genesis(), *(stream.batch(10) for _ in range(60))]))
        await projector.close()

    asyncio.run(project())
    return stream
