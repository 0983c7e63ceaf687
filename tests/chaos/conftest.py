"""Servers, cluster and load for the chaos tests; sizes by ORDERWIRE_CHAOS (`full` in `make chaos`)."""

import asyncio
import gc
import os
import random
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from app.dev.servers import LocalServers
from app.link.client import LinkClient
from app.storage.database import asyncpg_dsn
from app.storage.journal import Journal
from app.storage.migrate import upgrade
from tests.chaos.cluster import Cluster, link_to
from tests.chaos.history import Judged, judge
from tests.chaos.load import Load, open_market
from tests.conftest import administer, database_named
from tests.database_roles import make_test_logins

FULL = os.environ.get("ORDERWIRE_CHAOS") == "full"
SEED = int(os.environ.get("ORDERWIRE_CHAOS_SEED", "1"))
LINKS, ACCOUNTS = 2, 6

collect_ignore = [] if FULL else ["test_disk_full.py"]
"""Needs a volume of its own, which only root may mount: `make chaos` says so, `make test` needs nothing."""


def rounds(usual: int, full: int) -> int:
    """Return how many faults to land."""
    return full if FULL else usual


class Exchange(NamedTuple):
    """A cluster under load."""

    cluster: Cluster
    load: Load
    links: list[LinkClient]
    journal: Journal
    database_url: str

    async def judged(self) -> Judged:
        """Stop the load and judge everything."""
        await self.load.stop()
        return await judge(self.journal, self.load.clients)


@pytest.fixture(scope="module")
def own_servers() -> Iterator[LocalServers]:
    """Servers that a test may kill and freeze."""
    with LocalServers() as running:
        yield running


async def migrated_database(servers: LocalServers) -> str:
    """Create an empty, migrated database and the roles' logins; returns the URL of a superuser."""
    name = f"chaos_{secrets.token_hex(6)}"
    await administer(servers.database_url, f"CREATE DATABASE {name}")
    database_url = database_named(servers.database_url, name)
    await asyncio.to_thread(upgrade, database_url)
    await make_test_logins(servers.database_url)
    return database_url


@pytest.fixture
async def empty_database(own_servers: LocalServers) -> str:
    """URL of a migrated database on the test's own server."""
    return await migrated_database(own_servers)


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep the collector from looking at all that clients wrote down: its pauses would count as silence."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@asynccontextmanager
async def trading(
    servers: LocalServers,
    database_url: str,
    logs: Path,
    *,
    engines_database_url: str | None = None,
    program: tuple[str, ...] = ("app",),
) -> AsyncIterator[Exchange]:
    """Yield a leader, a standby, and clients that trade; the engines may be another program, or reach the database
    another way.
    """
    shard = random.randrange(1_000, 2**15)
    cluster = Cluster(servers, engines_database_url or database_url, shard=shard, logs=logs, program=program)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(cluster.stop)
        await cluster.start()
        links = [await stack.enter_async_context(link_to(database_url, shard, f"r{n}")) for n in range(LINKS)]
        accounts = await open_market(links[0], ACCOUNTS)
        journal = await Journal.connect(asyncpg_dsn(database_url), shard)
        stack.push_async_callback(journal.close)
        load = Load(links, accounts, seed=SEED)
        await cluster.wait_for_standby()
        stack.enter_context(without_collector())
        load.start()
        yield Exchange(cluster, load, links, journal, database_url)


@pytest.fixture
async def exchange(own_servers: LocalServers, empty_database: str, tmp_path: Path) -> AsyncIterator[Exchange]:
    """A leader, a standby, and clients that trade."""
    async with trading(own_servers, empty_database, tmp_path) as running:
        yield running
