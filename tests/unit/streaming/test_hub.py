"""The hub on a hand-driven exchange: activation, gaps, healing, reads, epochs, staleness."""

import asyncio
import json
import random
import time

import pytest
from msgspec.structs import replace

from app.domain.events import InstrumentListed
from app.errors import ApiError, StartupError
from app.protocol.ports import BusEntry
from app.protocol.records import BatchRecord, encode, without_commands
from app.streaming import feed as feed_module
from app.streaming import hub as hub_module
from app.streaming import sources as sources_module
from tests.unit.streaming.client import Replica, replica_of, until
from tests.unit.streaming.client_book import ClientBook, change_at_random, follow, truth
from tests.unit.streaming.exchange import ALICE, BOB, SYMBOL, Exchange, instrument

BOOK = f"orderbook:{SYMBOL}"
TICKER = f"ticker:{SYMBOL}"
TRADES = f"trades:{SYMBOL}"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "BLOCK_MS", 40)
    monkeypatch.setattr(feed_module, "POLL_S", 0.005)
    monkeypatch.setattr(hub_module, "MIN_SEQ_WAIT_S", 0.5)


@pytest.mark.parametrize("seed", range(8))
async def test_rest_seed_from_one_replica_and_deltas_from_another_equal_the_book(seed: int) -> None:
    chance = random.Random(seed)
    exchange = Exchange()
    for _ in range(30):
        change_at_random(exchange, chance)
    async with replica_of(exchange) as first, replica_of(exchange) as second:
        client, book, deltas = first.client(), ClientBook(), []
        await client.subscribe(BOOK)
        await client.next("snapshot")
        for _ in range(40):
            change_at_random(exchange, chance)
            if chance.random() < 0.3:
                await asyncio.sleep(0)
        await first.applied()
        deltas += client.read()
        # The other replica answers from wherever it is; the deltas around it must fit.
        answer = await second.hub.book_snapshot(SYMBOL, depth=None, min_seq=None)
        book.take({"epoch": answer.epoch, "seq": answer.seq, "bids": answer.bids, "asks": answer.asks})
        for _ in range(60):
            change_at_random(exchange, chance)
        await first.applied()
        for frame in [*deltas, *client.read()]:
            book.take(frame)
        assert book.gaps == 0
        assert (book.seq, book.bids, book.asks) == truth(exchange)


@pytest.mark.parametrize("seed", range(12))
async def test_subscriber_equals_the_book_whatever_bus_and_journal_do(seed: int) -> None:
    chance = random.Random(seed)
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client, book = replica.client(), ClientBook()
        await client.subscribe(BOOK)
        for _ in range(60):
            match chance.randrange(12):
                case 0:
                    exchange.bus.is_losing = not exchange.bus.is_losing
                case 1:
                    exchange.bus.is_down = not exchange.bus.is_down
                case 2:
                    exchange.bus.flush()
                case 3:
                    exchange.journal_is_down = not exchange.journal_is_down
                case 4:
                    await asyncio.sleep(0.01)
                case _:
                    change_at_random(exchange, chance)
            await asyncio.sleep(0)
            follow(client, book)
        exchange.bus.is_down = exchange.bus.is_losing = exchange.journal_is_down = False
        change_at_random(exchange, chance)
        await replica.applied()
        async with asyncio.timeout(3):
            while book.seq < exchange.books[SYMBOL].seq:
                follow(client, book)
                await asyncio.sleep(0.005)
        assert book.gaps == 0
        assert (book.seq, book.bids, book.asks) == truth(exchange)


async def test_full_book_deltas_are_never_merged() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client = replica.client()
        await client.subscribe(BOOK)
        snapshot = await client.next("snapshot")
        for price in range(10):
            exchange.change([(50 + price, 1)])
        await replica.applied()
        deltas = [frame for frame in client.read() if frame["type"] == "delta"]
        assert [frame["seq"] for frame in deltas] == list(range(snapshot["seq"] + 1, snapshot["seq"] + 11))
        assert all(frame["prev_seq"] == frame["seq"] - 1 for frame in deltas)


async def test_jump_starts_books_trades_and_accounts_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "HEAL_ROWS_MAX", 100)
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client, book = await replica.client_of("alice"), ClientBook()
        await client.subscribe(BOOK, TRADES, "orders")
        book.take(await client.next("snapshot", BOOK))
        await client.next("snapshot", "orders")
        exchange.go_down()
        await asyncio.sleep(0.06)
        for price in range(200):
            exchange.change([(50 + price, 1)])
        exchange.trade(count=3)
        order = exchange.place(ALICE)
        exchange.list_instrument("ETH-USD")
        exchange.come_back()
        snapshot = await client.next("snapshot", BOOK)
        assert snapshot["reason"] == "resync"
        book.take(snapshot)
        assert (book.seq, book.bids, book.asks) == truth(exchange)
        found = await client.next("event")
        assert (found["order"]["order_id"], found["prev_account_seq"]) == (str(order.order_id), 0)
        frames = [await client.next("trades"), await client.next("trades")]
        assert [len(frame["trades"]) for frame in frames] == [0, 3]
        await until(lambda: replica.hub.instruments.get("ETH-USD") is not None)


async def test_read_waits_for_min_seq() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        reading = asyncio.create_task(replica.hub.book_snapshot(SYMBOL, depth=None, min_seq=exchange.head + 1))
        await asyncio.sleep(0.02)
        assert not reading.done()
        exchange.change([(100, 5)])
        answer = await reading
        assert (answer.seq, answer.as_of_seq, answer.bids) == (1, exchange.head, [("1", "0.005")])


async def test_read_beyond_what_comes_is_not_caught_up() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        started = time.monotonic()
        with pytest.raises(ApiError) as refused:
            await replica.hub.book_snapshot(SYMBOL, depth=None, min_seq=10**9)
        told = refused.value
        assert (told.code, told.limit, told.actual) == ("not_caught_up", str(10**9), str(replica.hub.applied_seq()))
        assert time.monotonic() - started < 2
        assert len(replica.hub._waits) == 0


async def test_read_is_cut_to_its_depth() -> None:
    exchange = Exchange()
    exchange.change([(price, 1) for price in range(80, 100)], [(price, 1) for price in range(101, 120)])
    async with replica_of(exchange) as replica:
        answer = await replica.hub.book_snapshot(SYMBOL, depth=2, min_seq=None)
        assert answer.bids == [("0.99", "0.001"), ("0.98", "0.001")]
        assert answer.asks == [("1.01", "0.001"), ("1.02", "0.001")]


async def test_unknown_symbol_of_a_read_is_404() -> None:
    async with replica_of(Exchange()) as replica:
        for reading in (replica.hub.book_snapshot("NOPE", depth=None, min_seq=None), replica.hub.ticker("NOPE")):
            with pytest.raises(ApiError) as refused:
                await reading
            assert (refused.value.code, refused.value.status) == ("unknown_symbol", 404)


async def test_instrument_listed_while_running_is_known_at_once() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        exchange.list_instrument("ETH-USD")
        exchange.change([(100, 1)], symbol="ETH-USD")
        await replica.applied()
        client = replica.client()
        await client.subscribe("orderbook:ETH-USD")
        assert (await client.next("snapshot"))["seq"] == 1


async def test_instruments_the_projection_lacks_are_read_from_the_journal() -> None:
    exchange = Exchange()
    exchange.projected = 1
    async with replica_of(exchange) as replica:
        assert [known.symbol for known in replica.hub.instruments.all()] == [SYMBOL]
        assert replica.hub.instruments.asset_scale("USD") == 5


async def publish_ghosts(exchange: Exchange, *seqs: int) -> None:
    """Put batches of a history that was abandoned on the first epoch's bus: each lists an instrument."""
    ghosts = [
        BatchRecord(seq, seq, 1, 1, 1, [], [], [], encode([InstrumentListed(seq, instrument("GHOST-USD"))]))
        for seq in seqs
    ]
    await exchange.buses[1].publish([BusEntry(ghost.first_seq, ghost.last_seq, encode(ghost)) for ghost in ghosts])


@pytest.mark.parametrize("projected", [None, 2])
async def test_start_follows_the_journals_epoch_not_an_abandoned_history(projected: int | None) -> None:
    exchange = Exchange()
    exchange.start_epoch(2)
    exchange.projected = projected
    await publish_ghosts(exchange, exchange.head + 1)
    async with replica_of(exchange) as replica:
        # As long as nothing is committed the bus is all there is to read.
        await until(lambda: any(bus.reads > 0 for bus in exchange.buses.values()))
        await asyncio.sleep(0)
        exchange.list_instrument("ETH-USD")
        await replica.applied()
        assert [known.symbol for known in replica.hub.instruments.all()] == [SYMBOL, "ETH-USD"]


async def test_jump_over_the_start_of_an_epoch_leaves_the_old_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "HEAL_ROWS_MAX", 50)
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        exchange.go_down()
        for _ in range(150):
            exchange.commit()
        exchange.start_epoch(2)
        for _ in range(50):
            exchange.commit()
        exchange.buses[1].is_losing = False
        await publish_ghosts(exchange, exchange.head + 1)
        exchange.journal_is_down = exchange.buses[1].is_down = False
        await until(lambda: exchange.buses[2].reads > 0)
        exchange.list_instrument("ETH-USD")
        await replica.applied()
        assert [known.symbol for known in replica.hub.instruments.all()] == [SYMBOL, "ETH-USD"]


async def test_rest_of_a_read_is_not_taken_once_a_new_epoch_has_begun() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        exchange.bus.is_losing = True
        exchange.start_epoch(2)
        exchange.list_instrument("ETH-USD")
        exchange.buses[1].is_losing = False
        await publish_ghosts(exchange, exchange.head, exchange.head + 1)
        await until(lambda: exchange.buses[2].reads > 0)
        assert [known.symbol for known in replica.hub.instruments.all()] == [SYMBOL, "ETH-USD"]


async def test_start_waits_for_a_projection_that_is_too_far_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources_module, "HEAL_ROWS_MAX", 50)
    monkeypatch.setattr(hub_module, "CATALOG_RETRY_S", 0.01)
    exchange = Exchange()
    exchange.projected = 1
    for _ in range(100):
        exchange.commit()
    replica = Replica(exchange)
    starting = asyncio.create_task(replica.hub.start())
    await asyncio.sleep(0.05)
    assert not starting.done()
    exchange.projected = exchange.head
    await starting
    assert replica.hub.instruments.get(SYMBOL) is not None
    await replica.hub.stop()


async def test_start_without_a_journal_is_one_line() -> None:
    exchange = Exchange()
    exchange.journal_is_down = True
    replica = Replica(exchange)
    with pytest.raises(StartupError, match="journal and instruments"):
        await replica.hub.start()
    await replica.hub.stop()


async def test_defect_in_one_symbol_leaves_the_others_alone() -> None:
    exchange = Exchange(SYMBOL, "ETH-USD")
    async with replica_of(exchange) as replica:
        client = replica.client()
        await client.subscribe(BOOK, "orderbook:ETH-USD")
        await client.next("snapshot")
        await client.next("snapshot")
        exchange.bus.is_losing = True
        record = exchange.commit(levels={SYMBOL: ([(100, 1)], []), "ETH-USD": ([(100, 1)], [])})
        exchange.bus.is_losing = False
        record.books[0] = (SYMBOL, b"\xc1")
        body = encode(without_commands(record))
        await exchange.bus.publish([BusEntry(record.first_seq, record.last_seq, body)])
        frames = await client.until(lambda frame: frame["type"] == "snapshot")
        assert frames[-1]["channel"] == BOOK
        assert [frame["channel"] for frame in frames if frame["type"] == "delta"] == ["orderbook:ETH-USD"]


async def test_events_of_an_account_that_cannot_be_read_are_fetched_and_leave_the_others_alone() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        alice, bob = await replica.client_of("alice"), await replica.client_of("bob")
        for client in (alice, bob):
            await client.subscribe("orders")
            await client.next("snapshot", "orders")
        exchange.bus.is_losing = True
        order = exchange.place(ALICE)
        record = exchange.rows[-1]
        exchange.bus.is_losing = False
        of_another_build = replace(record, accounts=[(ALICE, encode([["of_another_build", 1]]))], commands=[])
        await exchange.bus.publish([BusEntry(record.first_seq, record.last_seq, encode(of_another_build))])
        exchange.place(BOB)
        assert (await bob.next("event", "orders"))["account_seq"] == 1
        shown = await alice.next("event", "orders")
        assert (shown["account_seq"], shown["order"]["order_id"]) == (1, str(order.order_id))
        assert not any(task.done() for task in replica.hub.tasks)


async def test_stale_replica_says_so_to_everybody_and_to_newcomers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "STALE_AFTER_S", 0.05)
    monkeypatch.setattr(hub_module, "TICK_S", 0.02)
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client = replica.client()
        exchange.journal_is_down = exchange.bus.is_down = True
        assert (await client.next("status"))["state"] == "stale"
        assert replica.hub.is_stale
        assert (await replica.client().next("status"))["state"] == "stale"
        exchange.journal_is_down = exchange.bus.is_down = False
        assert (await client.next("status"))["state"] == "live"
        assert not replica.hub.is_stale


async def test_heartbeat_tells_what_was_sent() -> None:
    exchange = Exchange()
    exchange.change([(100, 1)])
    async with replica_of(exchange) as replica:
        client = await replica.client_of("alice")
        await client.subscribe(BOOK, "orders")
        await client.next("snapshot", "orders")
        exchange.change([(100, 2)])
        exchange.place(ALICE)
        await replica.applied()
        await replica.ticked()
        beat = await client.next("heartbeat")
        assert beat["books"] == {SYMBOL: 2}
        assert (beat["account_seq"], beat["engine_seq"]) == (1, exchange.head)
        assert beat["lag_ms"] >= 0
        plain = replica.client()
        await replica.ticked()
        beat = await plain.next("heartbeat")
        assert (beat["books"], "account_seq" in beat) == ({}, False)


async def test_drain_says_goodbye_and_waits_until_all_have_left() -> None:
    async with replica_of(Exchange()) as replica:
        client = replica.client()
        draining = asyncio.create_task(replica.hub.drain(timeout_s=5))
        farewell = await client.next("shutdown")
        assert 0 <= farewell["reconnect_after_ms"] < 5000
        assert client.session.close is not None
        assert client.session.close == 1012
        assert replica.hub.is_draining
        assert not draining.done()
        client.session.detach()
        await draining


async def test_batch_costs_little_when_nobody_listens() -> None:
    """A bound ten times looser than the goal of 20 us, so that a busy machine does not fail it."""
    exchange = Exchange()
    replica = Replica(exchange)
    rows = [exchange.change([(100 + n % 7, 1)]) for n in range(2000)]
    started = time.perf_counter()
    for row in rows:
        replica.hub.apply(row)
    assert (time.perf_counter() - started) / len(rows) < 200e-6


async def test_frame_is_made_once_for_all_subscribers() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        clients = [replica.client() for _ in range(3)]
        for client in clients:
            await client.subscribe(BOOK)
            await client.next("snapshot")
        exchange.change([(100, 1)])
        await replica.applied()
        texts = [client.session.outbox.take() for client in clients]
        assert json.loads(texts[0] or "")["type"] == "delta"
        assert texts[0] is texts[1] is texts[2]
