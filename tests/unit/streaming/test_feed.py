"""The follower: every batch once and in order, whatever bus and journal do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.errors import ApiError
from app.protocol.ports import BusEntry
from app.protocol.records import BatchRecord
from app.streaming import feed as feed_module
from app.streaming import sources as sources_module
from app.streaming.feed import Feed
from tests.unit.streaming.client import until
from tests.unit.streaming.exchange import Exchange


class Log:
    """A sink that checks contiguity itself."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.applied: list[int] = []
        self.jumps: list[int] = []
        self.staleness: list[bool] = []

    def apply(self, record: BatchRecord) -> None:
        assert record.first_seq == self.position + 1, f"expected {self.position + 1}, was {record.first_seq}"
        self.position = record.last_seq
        self.applied.append(record.last_seq)

    def jump(self, applied_seq: int) -> None:
        assert applied_seq > self.position
        self.position = applied_seq
        self.jumps.append(applied_seq)

    def stale(self, is_stale: bool) -> None:
        self.staleness.append(is_stale)

    async def reached(self, seq: int) -> None:
        await until(lambda: self.position >= seq)


async def tick(feed: Feed) -> None:
    while True:
        feed.check_stale()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def following(exchange: Exchange) -> AsyncIterator[Log]:
    log = Log(exchange.head)
    feed = Feed(open_bus=exchange.open_bus, sources=exchange.sources(), sink=log)
    feed.start_at(exchange.head)
    feed.start_epoch(exchange.epoch)
    running, ticking = asyncio.create_task(feed.run()), asyncio.create_task(tick(feed))
    try:
        yield log
        assert not running.done()
        assert not ticking.done()
    finally:
        running.cancel()
        ticking.cancel()
        await asyncio.gather(running, ticking, return_exceptions=True)
        await feed.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "BLOCK_MS", 40)
    monkeypatch.setattr(feed_module, "LAGGING_BLOCK_MS", 10)
    monkeypatch.setattr(feed_module, "POLL_S", 0.005)
    monkeypatch.setattr(feed_module, "STALE_AFTER_S", 0.1)


async def test_batches_come_once_and_in_order() -> None:
    exchange = Exchange()
    async with following(exchange) as log:
        for commands in (1, 5, 2):
            exchange.commit(commands=commands)
        await log.reached(exchange.head)
        assert log.applied == [3, 8, 10]


async def test_first_position_is_where_it_started_not_where_the_stream_begins() -> None:
    exchange = Exchange()
    for _ in range(5):
        exchange.change()
    async with following(exchange) as log:
        exchange.commit()
        await log.reached(exchange.head)
        assert log.applied == [exchange.head]


async def test_duplicates_are_ignored() -> None:
    exchange = Exchange()
    async with following(exchange) as log:
        exchange.commit()
        await log.reached(exchange.head)
        # A wiped server takes everything again.
        exchange.bus.flush()
        for row in exchange.rows:
            exchange.publish(row)
        exchange.commit()
        await log.reached(exchange.head)
        assert log.applied == [3, 4]


async def test_gap_on_the_bus_is_healed_from_the_journal() -> None:
    exchange = Exchange()
    async with following(exchange) as log:
        exchange.bus.is_losing = True
        for _ in range(250):
            exchange.commit()
        exchange.bus.is_losing = False
        exchange.commit()
        await log.reached(exchange.head)
        assert log.applied == list(range(3, exchange.head + 1))


async def test_bus_without_a_publisher_is_noticed_when_quiet() -> None:
    exchange = Exchange()
    async with following(exchange) as log:
        exchange.bus.is_losing = True
        exchange.commit()
        await log.reached(exchange.head)
        exchange.bus.is_losing = False
        exchange.commit()
        await log.reached(exchange.head)
        assert log.applied == [3, 4]


async def test_journal_is_followed_while_the_bus_is_down() -> None:
    exchange = Exchange()
    async with following(exchange) as log:
        exchange.bus.is_down = True
        for _ in range(3):
            exchange.commit()
            await log.reached(exchange.head)
        exchange.bus.is_down = False
        exchange.commit()
        await log.reached(exchange.head)
        assert log.applied == [3, 4, 5, 6]
        assert log.staleness == []


async def test_wiped_bus_is_healed() -> None:
    exchange = Exchange()
    async with following(exchange) as log:
        exchange.commit()
        await log.reached(exchange.head)
        exchange.bus.flush()
        exchange.bus.is_losing = True
        exchange.commit()
        exchange.bus.is_losing = False
        exchange.commit()
        await log.reached(exchange.head)
        assert log.applied == [3, 4, 5]


async def test_nothing_is_forwarded_past_a_gap_while_the_journal_is_down() -> None:
    exchange = Exchange()
    async with following(exchange) as log:
        exchange.journal_is_down = True
        exchange.bus.is_losing = True
        exchange.commit()
        exchange.bus.is_losing = False
        exchange.commit()
        await asyncio.sleep(0.05)
        assert log.applied == []
        exchange.journal_is_down = False
        await log.reached(exchange.head)
        assert log.applied == [3, 4]


async def test_losing_bus_and_journal_is_stale_until_one_is_back() -> None:
    exchange = Exchange()
    async with following(exchange) as log:
        exchange.go_down()
        await until(lambda: bool(log.staleness))
        exchange.commit()
        exchange.journal_is_down = False
        await log.reached(exchange.head)
        assert log.staleness == [True, False]


async def test_losing_bus_and_journal_is_stale_while_the_journal_lets_everybody_wait() -> None:
    exchange = Exchange()
    async with following(exchange) as log:
        exchange.journal_gate.clear()
        exchange.bus.is_down = True
        await until(lambda: bool(log.staleness))
        exchange.bus.is_down = False
        exchange.journal_gate.set()
        exchange.commit()
        await log.reached(exchange.head)
        assert log.staleness == [True, False]


async def test_quiet_bus_is_read_on_while_the_journal_lets_everybody_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "QUIET_LOOK_S", 0.02)
    exchange = Exchange()
    async with following(exchange) as log:
        exchange.journal_gate.clear()
        asked = exchange.journal_questions
        await until(lambda: exchange.journal_questions > asked)
        exchange.commit()
        await log.reached(exchange.head)
        assert (log.applied, log.staleness) == ([3], [])


async def test_damaged_entry_is_read_from_the_journal_instead() -> None:
    exchange = Exchange()
    async with following(exchange) as log:
        exchange.bus.is_losing = True
        exchange.commit()
        exchange.bus.is_losing = False
        await exchange.bus.publish([BusEntry(exchange.head, exchange.head, b"\xc1 damaged")])
        exchange.commit()
        await log.reached(exchange.head)
        assert log.applied == [3, 4]


async def test_too_far_behind_jumps_to_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "HEAL_ROWS_MAX", 200)
    exchange = Exchange()
    async with following(exchange) as log:
        exchange.go_down()
        for _ in range(500):
            exchange.commit()
        exchange.come_back()
        await log.reached(exchange.head)
        assert log.jumps == [502]
        exchange.commit()
        await log.reached(exchange.head)
        assert log.applied[-1] == exchange.head


async def test_rows_that_are_archived_are_jumped_over() -> None:
    exchange = Exchange()
    async with following(exchange) as log:
        exchange.go_down()
        for _ in range(5):
            exchange.commit()
        del exchange.rows[2:4]
        exchange.come_back()
        await log.reached(exchange.head)
        assert log.jumps == [exchange.head]


async def test_new_epoch_is_followed_on_its_own_stream() -> None:
    exchange = Exchange()
    log = Log(exchange.head)
    feed = Feed(open_bus=exchange.open_bus, sources=exchange.sources(), sink=log)
    feed.start_at(exchange.head)
    feed.start_epoch(1)
    running = asyncio.create_task(feed.run())
    exchange.start_epoch(2)
    await log.reached(exchange.head)
    feed.start_epoch(2)
    exchange.commit()
    exchange.buses[1].flush()
    await log.reached(exchange.head)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert log.applied == [3, 4]


async def test_rows_between_two_sequences_are_exactly_those() -> None:
    exchange = Exchange()
    for _ in range(250):
        exchange.commit()
    rows = exchange.sources().journal_rows
    found = [row.last_seq async for row in sources_module.rows_between(rows, 7, 230)]
    assert found == list(range(8, 231))
    assert [row async for row in sources_module.rows_between(rows, 9, 9)] == []


async def test_rows_between_refuses_what_is_too_much_or_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = Exchange()
    for _ in range(250):
        exchange.commit()
    rows = exchange.sources().journal_rows
    with pytest.raises(ApiError, match="Expected journal rows"):
        [row async for row in sources_module.rows_between(rows, 7, exchange.head + 1)]
    monkeypatch.setattr(sources_module, "HEAL_ROWS_MAX", 50)
    with pytest.raises(ApiError, match="Expected journal rows"):
        [row async for row in sources_module.rows_between(rows, 7, 230)]
