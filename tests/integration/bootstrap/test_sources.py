"""What a replica reads from storage, with the rights of its own login."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.bootstrap.sources import storage_sources
from app.domain.events import EpochStarted
from app.projections.core import CoreProjector
from app.storage.database import asyncpg_dsn, create_database_engine
from app.storage.journal import Journal
from tests.database_roles import as_role
from tests.journal_rows import batch, chain

SHARD, OTHER_SHARD = 1, 2


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[AsyncEngine]:
    """A replica's pool."""
    database = create_database_engine(as_role(database_url, "api"), pool_size=1)
    yield database
    await database.dispose()


async def test_the_seed_of_instruments_tells_the_shards_newest_epoch(database_url: str, database: AsyncEngine) -> None:
    sources = storage_sources(database, Journal(asyncpg_dsn(database_url), SHARD), SHARD)
    assert await sources.catalog_seed() == (0, [], {}, 0)
    begun = {SHARD: [1, 2], OTHER_SHARD: [1, 2, 3]}
    for shard, epochs in begun.items():
        projector = CoreProjector(database_url, shard)
        await projector.apply(chain([batch(seq, system=[EpochStarted(seq, seq)]) for seq in epochs]))
        await projector.close()
    assert await sources.catalog_seed() == (2, [], {}, 2)
