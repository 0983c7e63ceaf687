"""A replica on a real Valkey of its own that freezes, wakes and is wiped: its books stay whole."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from app.bus.redis import RedisBus
from app.dev.servers import LocalServers
from app.errors import BusUnavailable
from app.protocol.ports import Bus, BusEntry
from app.protocol.records import BatchRecord, encode, without_commands
from tests.unit.streaming.client import Client, Replica, replica_of
from tests.unit.streaming.client_book import BOOK, ClientBook, follow, truth
from tests.unit.streaming.exchange import SYMBOL, Exchange

WHOLE_WITHIN_S = 4.0


class ServerExchange(Exchange):
    """Publishes on a real server, and again from the journal when that comes back, as a leader does."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.leader_bus = RedisBus(url, "ow:0:1")
        super().__init__()

    def open_bus(self, epoch: int) -> Bus:
        """Return a replica's own connection."""
        return RedisBus(self._url, f"ow:0:{epoch}")

    def publish(self, record: BatchRecord) -> None:
        """Leave it to `catch_up`."""

    async def catch_up(self, *, from_seq: int | None = None) -> None:
        """Publish what the server lacks."""
        after = await self.leader_bus.last_seq() if from_seq is None else from_seq
        rows = [row for row in self.rows if row.last_seq > after]
        await self.leader_bus.publish(
            [BusEntry(row.first_seq, row.last_seq, encode(without_commands(row))) for row in rows]
        )


@pytest.fixture(scope="module")
def valkey() -> Iterator[LocalServers]:
    """A Valkey that this module may mistreat; PostgreSQL is not asked for."""
    with LocalServers(database_url="postgresql://unused") as servers:
        yield servers


@pytest.fixture
async def exchange(valkey: LocalServers) -> AsyncIterator[ServerExchange]:
    exchange = ServerExchange(valkey.redis_url)
    await wipe(valkey)
    await exchange.catch_up()
    yield exchange
    await exchange.leader_bus.close()


async def wipe(valkey: LocalServers) -> None:
    client = Redis.from_url(valkey.redis_url)
    await client.flushall()
    await client.aclose()


async def watching(replica: Replica) -> tuple[Client, ClientBook]:
    client, book = replica.client(), ClientBook()
    await client.subscribe(BOOK)
    book.take(await client.next("snapshot"))
    return client, book


async def whole(exchange: Exchange, client: Client, book: ClientBook) -> None:
    """Wait until the client has everything, without a gap."""
    async with asyncio.timeout(WHOLE_WITHIN_S):
        while book.seq < exchange.books[SYMBOL].seq:
            follow(client, book)
            await asyncio.sleep(0.005)
    assert book.gaps == 0
    assert (book.seq, book.bids, book.asks) == truth(exchange)


async def test_frozen_server_delays_the_book_and_loses_nothing(valkey: LocalServers, exchange: ServerExchange) -> None:
    async with replica_of(exchange) as replica:
        client, book = await watching(replica)
        exchange.change([(100, 1)])
        await exchange.catch_up()
        await whole(exchange, client, book)
        (pid,) = valkey.pids
        os.kill(pid, signal.SIGSTOP)
        try:
            exchange.change([(99, 1)])
            with pytest.raises(BusUnavailable):
                await exchange.catch_up(from_seq=exchange.head - 1)
            exchange.change([(98, 1)])
            await whole(exchange, client, book)
            exchange.change([(97, 1)])
            await whole(exchange, client, book)
        finally:
            os.kill(pid, signal.SIGCONT)
        exchange.change([(96, 1)])
        await exchange.catch_up()
        await whole(exchange, client, book)
        assert not replica.hub.is_stale


async def test_wiped_server_loses_nothing(valkey: LocalServers, exchange: ServerExchange) -> None:
    async with replica_of(exchange) as replica:
        client, book = await watching(replica)
        for price in range(50, 60):
            exchange.change([(price, 1)])
        await exchange.catch_up()
        await whole(exchange, client, book)
        exchange.change([(100, 1)])
        await wipe(valkey)
        exchange.change([(101, 1)])
        # The leader goes on at its head only: what came before is in the journal.
        await exchange.catch_up(from_seq=exchange.head - 1)
        await whole(exchange, client, book)
        exchange.change([(102, 1)])
        await exchange.catch_up()
        await whole(exchange, client, book)
