"""One symbol: activation without a lost delta, gaps, epochs, trades, the ticker."""

import asyncio
import time

import pytest
from msgspec.structs import replace

from app.domain.enums import InstrumentStatus
from app.domain.events import InstrumentListed, ReferenceSet
from app.errors import ApiError
from app.streaming import feed as feed_module
from app.streaming.market import MarketContext
from tests.unit.streaming.client import Client, Replica, replica_of, until
from tests.unit.streaming.client_book import ClientBook, follow, truth
from tests.unit.streaming.exchange import ALICE, SYMBOL, Exchange, instrument

BOOK = f"orderbook:{SYMBOL}"
TICKER = f"ticker:{SYMBOL}"
AUCTION = ("status", "indicative_price", "indicative_quantity", "indicative_surplus")
TRADES = f"trades:{SYMBOL}"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "BLOCK_MS", 40)
    monkeypatch.setattr(feed_module, "POLL_S", 0.005)


async def test_no_delta_comes_before_its_snapshot_while_the_book_is_fetched() -> None:
    exchange = Exchange()
    exchange.change([(100, 5)])
    async with replica_of(exchange) as replica:
        exchange.book_gate.clear()
        client, book = replica.client(), ClientBook()
        await client.subscribe(BOOK)
        exchange.change([(99, 1)])
        exchange.change([(100, 0)])
        await replica.applied()
        assert [frame["type"] for frame in client.read()] == []
        exchange.book_gate.set()
        snapshot = await client.next("snapshot")
        assert (snapshot["seq"], snapshot["reason"]) == (3, "subscribe")
        book.take(snapshot)
        exchange.change([(98, 1)])
        await replica.applied()
        follow(client, book)
        assert (book.seq, book.bids, book.asks) == truth(exchange)


async def test_symbol_nobody_asked_for_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        monkeypatch.setattr("app.streaming.market.decode_book", lambda blob: pytest.fail("decoded"))
        exchange.change([(100, 1)])
        exchange.trade()
        exchange.place(ALICE)
        await replica.applied()
        assert exchange.book_requests == 0


async def test_book_is_fetched_once_for_everybody() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        clients = [replica.client() for _ in range(5)]
        for client in clients:
            await client.subscribe(BOOK)
        reads = [replica.hub.book_snapshot(SYMBOL, depth=None, min_seq=None) for _ in range(5)]
        await asyncio.gather(*reads)
        for client in clients:
            await client.next("snapshot")
        assert exchange.book_requests == 1


async def test_subscription_waits_for_a_leader_and_a_read_says_so() -> None:
    exchange = Exchange()
    exchange.leader_is_away = True
    async with replica_of(exchange) as replica:
        client = replica.client()
        await client.subscribe(BOOK)
        with pytest.raises(ApiError) as refused:
            await replica.hub.book_snapshot(SYMBOL, depth=None, min_seq=None)
        assert refused.value.code == "engine_unavailable"
        exchange.change([(100, 5)])
        exchange.leader_is_away = False
        assert (await client.next("snapshot"))["bids"] == [["1", "0.005"]]


async def test_leader_behind_the_feed_is_asked_again() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        exchange.book_gate.clear()
        client = replica.client()
        await client.subscribe(BOOK)
        await until(lambda: exchange.book_requests == 1)
        # The answer is made; the next delta is not on the feed, the one after it is.
        exchange.books[SYMBOL].seq += 1
        exchange.change([(100, 5)])
        await replica.applied()
        exchange.book_gate.set()
        snapshot = await client.next("snapshot")
        assert snapshot["seq"] == exchange.books[SYMBOL].seq
        assert exchange.book_requests == 2


async def test_gap_in_a_live_book_gives_a_fresh_snapshot() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client, book = replica.client(), ClientBook()
        await client.subscribe(BOOK, TICKER)
        book.take(await client.next("snapshot"))
        exchange.books[SYMBOL].seq += 1
        exchange.change([(100, 5)])
        snapshot = await client.next("snapshot")
        assert (snapshot["reason"], snapshot["seq"]) == ("resync", 2)
        book.take(snapshot)
        exchange.change([(99, 5)])
        await replica.applied()
        follow(client, book)
        assert (book.seq, book.bids, book.asks) == truth(exchange)


async def test_new_epoch_begins_with_a_snapshot() -> None:
    exchange = Exchange()
    exchange.change([(100, 5)])
    async with replica_of(exchange) as replica:
        client, book = replica.client(), ClientBook()
        await client.subscribe(BOOK)
        book.take(await client.next("snapshot"))
        exchange.start_epoch(2)
        exchange.change([(99, 1)])
        snapshot = await client.next("snapshot")
        assert (snapshot["epoch"], snapshot["reason"]) == (2, "epoch")
        book.take(snapshot)
        exchange.change([(98, 1)])
        await replica.applied()
        follow(client, book)
        assert (book.epoch, book.seq, book.bids, book.asks) == (2, *truth(exchange))


async def test_trades_begin_with_the_last_fifty_and_go_on_without_a_gap() -> None:
    exchange = Exchange()
    exchange.trade(count=70)
    # The projection is behind: the journal has the rest.
    exchange.projected = exchange.head
    exchange.trade(count=3)
    async with replica_of(exchange) as replica:
        client = replica.client()
        await client.subscribe(TRADES)
        exchange.trade(count=2)
        ids = [int(trade["trade_id"]) for trade in (await client.next("trades"))["trades"]]
        exchange.trade(count=60)
        await replica.applied()
        for frame in client.read():
            ids += [int(trade["trade_id"]) for trade in frame["trades"]]
        assert ids == list(range(ids[0], 136))
        assert ids[0] <= 26


async def test_ticker_shows_book_last_trade_and_day() -> None:
    exchange = Exchange()
    exchange.change([(99, 5)], [(101, 7)])
    exchange.trade(100, 2)
    async with replica_of(exchange) as replica:
        client = replica.client()
        await client.subscribe(TICKER)
        first = await client.next("ticker")
        assert (first["bid"], first["ask_quantity"], first["last"]) == ("0.99", "0.007", "1")
        exchange.trade(110, 1)
        await replica.applied()
        (second,) = client.read()
        assert (second["last"], second["open_24h"], second["volume_24h"]) == ("1.1", "1", "0.003")
        exchange.change([(98, 1)])
        await replica.applied()
        assert client.read() == [], "a change behind the best levels is no news"
        exchange.change([(99, 6)])
        await replica.applied()
        (third,) = client.read()
        assert (third["bid_quantity"], third["seq"]) == ("0.006", 3)
        answer = await replica.hub.ticker(SYMBOL)
        assert (answer.last, answer.bid_quantity) == ("1.1", "0.006")


async def test_day_ends_without_a_trade() -> None:
    exchange = Exchange()
    exchange.trade(100, 2)
    now_ns = time.time_ns()
    replica = Replica(exchange)
    replica.hub._context = MarketContext(
        book_source=exchange,
        sources=exchange.sources(),
        instruments=replica.hub.instruments,
        applied_seq=replica.hub.applied_seq,
        now_ns=lambda: now_ns,
    )
    replica.hub._now_ns = lambda: now_ns
    await replica.hub.start()
    client = replica.client()
    await client.subscribe(TICKER)
    assert (await client.next("ticker"))["volume_24h"] == "0.002"
    now_ns += 25 * 3600 * 1_000_000_000
    await replica.ticked()
    ticker = await client.next("ticker")
    assert (ticker["volume_24h"], ticker["last"]) == ("0", "1")
    client.session.detach()
    await replica.hub.stop()


async def test_trades_that_come_while_the_last_ones_are_read_are_not_lost() -> None:
    exchange = Exchange()
    exchange.trade(count=2)
    async with replica_of(exchange) as replica:
        exchange.seed_gate.clear()
        client = replica.client()
        await client.subscribe(TRADES)
        await until(lambda: exchange.seed_requests == 1)
        exchange.trade(count=3)
        await replica.applied()
        assert client.read() == []
        exchange.seed_gate.set()
        first = await client.next("trades")
        assert [trade["trade_id"] for trade in first["trades"]] == ["1", "2", "3", "4", "5"]


async def test_book_fetched_across_a_jump_is_fetched_again() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        exchange.book_gate.clear()
        client = replica.client()
        await client.subscribe(BOOK)
        await until(lambda: exchange.book_requests == 1)
        # The feed jumps over a change that the fetched book does not have, and then all is quiet.
        exchange.bus.is_losing = True
        exchange.change([(100, 5)])
        replica.hub._feed.start_at(exchange.head)
        replica.hub.jump(exchange.head)
        exchange.book_gate.set()
        snapshot = await client.next("snapshot")
        assert (snapshot["seq"], snapshot["bids"]) == (1, [["1", "0.005"]])


def listed(exchange: Exchange, status: InstrumentStatus) -> InstrumentListed:
    return InstrumentListed(exchange.head + 1, replace(instrument(), status=status))


async def phase_shown(client: Client) -> list[str | None]:
    frame = await client.next("ticker")
    return [frame[name] for name in AUCTION]


async def test_ticker_shows_the_phase_and_where_an_auction_would_cross() -> None:
    exchange = Exchange()
    exchange.trade(100, 2)
    async with replica_of(exchange) as replica:
        client = replica.client()
        await client.subscribe(TICKER)
        assert await phase_shown(client) == ["open", None, None, None]
        exchange.commit(system=[listed(exchange, InstrumentStatus.AUCTION)], auctions={SYMBOL: (0, 0, 0)})
        await replica.applied()
        # One frame for one batch: the phase never comes without where its auction stands.
        (begun,) = [frame for frame in client.read() if frame["type"] == "ticker"]
        assert [begun[name] for name in AUCTION] == ["auction", None, "0", "0"]
        exchange.commit(auctions={SYMBOL: (101, 7, -3)})
        assert await phase_shown(client) == ["auction", "1.01", "0.007", "-0.003"]
        other = replica.client()
        await other.subscribe(TICKER)
        assert await phase_shown(other) == ["auction", "1.01", "0.007", "-0.003"]
        exchange.commit(system=[listed(exchange, InstrumentStatus.OPEN)])
        assert await phase_shown(client) == ["open", None, None, None]


async def test_an_auction_that_was_stated_while_the_book_was_fetched_is_not_lost_and_an_older_one_not_shown() -> None:
    exchange = Exchange()
    exchange.commit(system=[listed(exchange, InstrumentStatus.AUCTION)], auctions={SYMBOL: (100, 1, 1)})
    async with replica_of(exchange) as replica:
        exchange.book_gate.clear()
        asking = asyncio.create_task(replica.hub.ticker(SYMBOL))
        await until(lambda: exchange.book_requests == 1)
        exchange.commit(auctions={SYMBOL: (102, 2, 2)})
        await replica.applied()
        exchange.book_gate.set()
        assert (await asking).indicative_price == "1.02"


async def test_mark_price_is_the_median_of_last_mid_and_a_young_external_price() -> None:
    exchange = Exchange()
    exchange.trade(100, 2)
    async with replica_of(exchange) as replica:
        client = replica.client()
        await client.subscribe(TICKER)
        assert (await client.next("ticker"))["mark_price"] == "1"
        exchange.change([(103, 1)], [(107, 1)])
        # Two prices: the floor of their mean.
        assert (await client.next("ticker"))["mark_price"] == "1.02"
        exchange.commit(system=[ReferenceSet(exchange.head + 1, SYMBOL, 110)])
        assert (await client.next("ticker"))["mark_price"] == "1.05"
