"""Private streams: snapshot at N then N+1, folding, resume, recovery, and one chain a session."""

import asyncio
import random
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from app.domain.events import PositionChanged
from app.errors import ApiError
from app.protocol import messages
from app.protocol.holdings import PositionFigures
from app.streaming import feed as feed_module
from app.streaming import private as private_module
from app.streaming.private import AccountFold
from app.streaming.sources import AccountSeed
from tests.unit.streaming.account_mirror import Mirror, Trader
from tests.unit.streaming.client import UNLIMITED, Client, Replica, replica_of, until
from tests.unit.streaming.exchange import ALICE, BOB, Exchange

CHANNELS = ("orders", "fills", "balances")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "BLOCK_MS", 40)
    monkeypatch.setattr(feed_module, "POLL_S", 0.005)
    monkeypatch.setattr(private_module, "RETRY_FIRST_S", 0.005)


async def joined(replica: Replica, *channels: str, **members: Any) -> Client:
    client = await replica.client_of("alice")
    await client.subscribe(*channels, **members)
    for channel in channels:
        await client.next("snapshot", channel)
    return client


async def test_snapshot_then_the_next_event() -> None:
    exchange = Exchange()
    order = exchange.place(ALICE)
    async with replica_of(exchange) as replica:
        client = await replica.client_of("alice")
        assert (await client.subscribe("orders", "balances"))["type"] == "subscribed"
        orders, balances = await client.next("snapshot", "orders"), await client.next("snapshot", "balances")
        assert (orders["account_seq"], balances["account_seq"]) == (2, 2)
        assert [one["order_id"] for one in orders["orders"]] == [str(order.order_id)]
        assert balances["balances"] == [{"asset": "USD", "available": "9999999999999999999999999.99", "held": "0.01"}]
        exchange.fill(order, 4)
        event = await client.next("event")
        assert (event["event"], event["channel"]) == ("order.partially_filled", "orders")
        assert (event["account_seq"], event["prev_account_seq"]) == (3, 2)
        assert (event["order"]["status"], event["order"]["filled_quantity"]) == ("partially_filled", "0.004")
        assert event["fill"]["quantity"] == "0.004"
        msgspec.convert(event, messages.PrivateEvent)
        msgspec.convert(orders, messages.PrivateSnapshot)


async def test_event_on_two_channels_has_the_same_place_in_the_chain() -> None:
    exchange = Exchange()
    order = exchange.place(ALICE)
    async with replica_of(exchange) as replica:
        client = await joined(replica, "orders", "fills")
        exchange.fill(order, 4)
        exchange.fill(order, 5)
        frames = [await client.next("event") for _ in range(4)]
        places = [(frame["channel"], frame["account_seq"], frame["prev_account_seq"]) for frame in frames]
        assert places == [("orders", 3, 2), ("fills", 3, 2), ("orders", 4, 3), ("fills", 4, 3)]
        assert "order" not in frames[1]
        assert frames[1]["fill"] == frames[0]["fill"]


async def test_events_that_come_while_the_account_is_read_are_in_the_snapshot() -> None:
    exchange = Exchange()
    order = exchange.place(ALICE)
    async with replica_of(exchange) as replica:
        exchange.seed_gate.clear()
        client = await replica.client_of("alice")
        await client.subscribe("orders")
        await until(lambda: exchange.seed_requests == 1)
        exchange.fill(order, 4)
        await replica.applied()
        assert client.read() == []
        exchange.seed_gate.set()
        snapshot = await client.next("snapshot")
        assert (snapshot["account_seq"], snapshot["orders"][0]["filled_quantity"]) == (3, "0.004")


async def test_account_read_across_a_jump_is_read_again() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        exchange.seed_gate.clear()
        client = await replica.client_of("alice")
        await client.subscribe("orders")
        await until(lambda: exchange.seed_requests == 1)
        exchange.bus.is_losing = True
        exchange.place(ALICE)
        replica.hub._feed.start_at(exchange.head)
        replica.hub.jump(exchange.head)
        exchange.seed_gate.set()
        assert (await client.next("snapshot"))["account_seq"] == 2


async def test_hidden_events_do_not_break_the_chain() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client = await joined(replica, "balances")
        first, second = exchange.place(ALICE), exchange.place(ALICE)
        assert first.order_id != second.order_id
        frames = [await client.next("event") for _ in range(2)]
        assert [(frame["account_seq"], frame["prev_account_seq"]) for frame in frames] == [(2, 0), (4, 2)]


async def test_other_accounts_events_are_not_shown() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client = await joined(replica, *CHANNELS)
        exchange.place(BOB)
        exchange.place(ALICE)
        await replica.applied()
        assert {frame["account_seq"] for frame in client.read()} == {1, 2}


@pytest.mark.parametrize("seed", range(10))
async def test_joining_at_any_moment_equals_the_account(seed: int) -> None:
    chance = random.Random(seed)
    exchange = Exchange()
    trader = Trader(exchange, chance)
    async with replica_of(exchange) as replica:
        for _ in range(20):
            trader.act()
        exchange.projected = exchange.head
        for _ in range(chance.randrange(10)):
            trader.act()
        client, mirror = await replica.client_of("alice"), Mirror()
        await client.send("subscribe", channels=list(chance.sample(CHANNELS, 3)))
        for _ in range(30):
            trader.act()
            if chance.random() < 0.4:
                await asyncio.sleep(0)
            if chance.random() < 0.1:
                exchange.projected = exchange.head
        await replica.applied()
        expected_seq = exchange._account_seqs[ALICE]
        async with asyncio.timeout(3):
            while mirror.position != expected_seq:
                for frame in client.read():
                    if frame["type"] in ("snapshot", "event"):
                        mirror.take(frame)
                await asyncio.sleep(0.002)
        assert mirror.open_orders() == trader.expected()


@pytest.mark.parametrize("seed", range(6))
async def test_channels_that_join_later_share_the_chain(seed: int) -> None:
    chance = random.Random(seed)
    exchange = Exchange()
    trader = Trader(exchange, chance)
    async with replica_of(exchange) as replica:
        client, mirror = await replica.client_of("alice"), Mirror()
        exchange.projected = 0
        for channel in chance.sample(CHANNELS, 3):
            await client.send("subscribe", channels=[channel])
            for _ in range(8):
                trader.act()
                if chance.random() < 0.4:
                    await asyncio.sleep(0.001)
            exchange.projected = exchange.head - chance.randrange(3)
        await replica.applied()
        expected_seq = exchange._account_seqs[ALICE]
        async with asyncio.timeout(3):
            while mirror.position != expected_seq or len(client.session._private_names()) < 3:
                for frame in client.read():
                    if frame["type"] in ("snapshot", "event"):
                        mirror.take(frame)
                await asyncio.sleep(0.002)
        await until(lambda: client.session._private is not None and len(client.session._private.live) == 3)
        for frame in client.read():
            mirror.take(frame)
        assert mirror.open_orders() == trader.expected()


@pytest.mark.parametrize("seed", range(6))
async def test_resume_replays_exactly_what_was_missed(seed: int) -> None:
    chance = random.Random(seed)
    exchange = Exchange()
    trader = Trader(exchange, chance)
    for _ in range(40):
        trader.act()
    exchange.projected = exchange.head
    for _ in range(5):
        trader.act()
    last = exchange._account_seqs[ALICE]
    start = chance.randrange(last + 1)
    async with replica_of(exchange) as replica:
        client, mirror = await replica.client_of("alice"), Mirror()
        mirror.position = start
        await client.send("subscribe", channels=list(CHANNELS), resume_from=start)
        for _ in range(10):
            trader.act()
            await asyncio.sleep(0)
        await replica.applied()
        expected_seq = exchange._account_seqs[ALICE]
        async with asyncio.timeout(3):
            while mirror.position != expected_seq:
                for frame in client.read():
                    assert frame["type"] != "snapshot"
                    mirror.take(frame)
                await asyncio.sleep(0.002)
        assert mirror.seqs == list(range(start + 1, expected_seq + 1))


async def test_resume_from_the_present_shows_nothing_old() -> None:
    exchange = Exchange()
    exchange.place(ALICE)
    async with replica_of(exchange) as replica:
        client = await replica.client_of("alice")
        await client.subscribe("orders", resume_from=2)
        await until(lambda: client.session._private is not None and bool(client.session._private.live))
        assert client.read() == []
        exchange.place(ALICE)
        event = await client.next("event")
        assert (event["account_seq"], event["prev_account_seq"]) == (3, 2)


async def test_resume_from_what_is_no_longer_kept_gives_a_snapshot() -> None:
    exchange = Exchange()
    for _ in range(4):
        exchange.place(ALICE)
    exchange.oldest_event = 5
    async with replica_of(exchange) as replica:
        client = await replica.client_of("alice")
        await client.subscribe("orders", resume_from=3)
        assert await client.next("resume_expired") == {"type": "resume_expired", "oldest": 6}
        snapshot = await client.next("snapshot")
        assert (snapshot["account_seq"], len(snapshot["orders"])) == (8, 4)


async def test_resume_from_beyond_this_replica_waits_for_it() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client = await replica.client_of("alice")
        await client.subscribe("orders", "balances", resume_from=2)
        await asyncio.sleep(0.02)
        exchange.place(ALICE)
        exchange.place(ALICE)
        frames = [await client.next("event") for _ in range(2)]
        assert [(frame["account_seq"], frame["prev_account_seq"]) for frame in frames] == [(3, 2), (4, 3)]


async def test_resume_from_what_never_was_gives_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_module, "FUTURE_WAIT_S", 0.05)
    exchange = Exchange()
    exchange.place(ALICE)
    async with replica_of(exchange) as replica:
        client = await replica.client_of("alice")
        await client.subscribe("orders", resume_from=1_000)
        assert (await client.next("resume_expired"))["oldest"] == 3
        assert (await client.next("snapshot"))["account_seq"] == 2
        exchange.place(ALICE)
        assert (await client.next("event"))["account_seq"] == 3


async def test_resume_after_joining_is_refused() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client = await joined(replica, "orders")
        reply = await client.ask("subscribe", channels=["fills"], resume_from=0)
        assert reply["channels"] == []
        assert reply["failed"][0]["error"]["field"] == "resume_from"


async def test_storage_that_fails_delays_but_loses_nothing() -> None:
    exchange = Exchange()
    exchange.projected = 0
    order = exchange.place(ALICE)
    async with replica_of(exchange) as replica:
        exchange.journal_is_down = True
        client = await replica.client_of("alice")
        await client.subscribe("orders")
        exchange.fill(order, 1)
        await asyncio.sleep(0.03)
        assert client.read() == []
        exchange.journal_is_down = False
        snapshot = await client.next("snapshot")
        assert (snapshot["account_seq"], snapshot["orders"][0]["filled_quantity"]) == (3, "0.001")


async def test_missed_events_are_fetched_before_newer_ones_are_shown() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client, mirror = await joined(replica, *CHANNELS), Mirror()
        mirror.position = 0
        stream = client.session._private
        assert stream is not None
        # The feed skips a batch of the account, as a jump does.
        streams = replica.hub._accounts.pop(ALICE)
        exchange.place(ALICE)
        await replica.applied()
        replica.hub._accounts[ALICE] = streams
        exchange.place(ALICE)
        await replica.applied()
        await until(lambda: stream.position == 4)
        for frame in client.read():
            mirror.take(frame)
        assert mirror.seqs == [1, 2, 3, 4]


async def test_unsubscribed_channel_is_silent_and_the_other_goes_on() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client = await joined(replica, "orders", "balances")
        assert (await client.ask("unsubscribe", channels=["orders", "fills"]))["channels"] == ["orders"]
        exchange.place(ALICE)
        await replica.applied()
        assert [frame["channel"] for frame in client.read()] == ["balances"]


async def test_logout_ends_private_channels_only() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client = await joined(replica, "orders")
        await client.subscribe("orderbook:BTC-USD")
        assert (await client.ask("logout"))["type"] == "result"
        assert (await client.ask("list"))["channels"] == ["orderbook:BTC-USD"]
        exchange.place(ALICE)
        await replica.applied()
        assert [frame["type"] for frame in client.read()] == ["snapshot"]
        assert replica.hub._accounts == {}


async def test_credentials_for_some_instruments_see_only_those() -> None:
    exchange = Exchange("BTC-USD", "ETH-USD")
    exchange.place(ALICE, symbol="BTC-USD")
    exchange.place(ALICE, symbol="ETH-USD")
    async with replica_of(exchange) as replica:
        narrow = msgspec.structs.replace(replica.keys.principals["alice"], symbols=frozenset({"ETH-USD"}))
        replica.keys.principals["narrow"] = narrow
        client = await replica.client_of("narrow")
        await client.subscribe("orders")
        snapshot = await client.next("snapshot")
        assert [order["symbol"] for order in snapshot["orders"]] == ["ETH-USD"]
        exchange.place(ALICE, symbol="BTC-USD")
        exchange.place(ALICE, symbol="ETH-USD")
        event = await client.next("event")
        assert (event["order"]["symbol"], event["account_seq"], event["prev_account_seq"]) == ("ETH-USD", 7, 4)


async def test_slow_reader_of_a_long_replay_is_paced_not_closed() -> None:
    exchange = Exchange()
    for _ in range(250):
        exchange.place(ALICE)
    exchange.page_events = 100
    limits = replace(UNLIMITED, fact_bytes_max=150_000)
    async with replica_of(exchange, limits) as replica:
        client, mirror = await replica.client_of("alice"), Mirror()
        mirror.position = 0
        await client.send("subscribe", channels=["orders", "balances"], resume_from=0)
        async with asyncio.timeout(5):
            while mirror.position != 500:
                await asyncio.sleep(0.02)
                for frame in client.read():
                    if frame["type"] == "event":
                        mirror.take(frame)
        assert client.session.close is None
        assert mirror.seqs == list(range(1, 501))


def test_fold_refuses_a_missing_event_and_ignores_a_known_one() -> None:
    exchange = Exchange()
    exchange.place(ALICE)
    exchange.place(ALICE)
    events = [source.event for source in exchange._events(ALICE)]
    fold = AccountFold(AccountSeed(0, 0, [], []))
    fold.apply(events[0])
    fold.apply(events[0])
    assert fold.account_seq == 1
    with pytest.raises(ApiError, match="between 1 and 3"):
        fold.apply(events[2])


def test_fold_keeps_the_newest_position_of_each_symbol() -> None:
    fold = AccountFold(
        AccountSeed(0, 4, [], [], [PositionFigures("B-Q", 1, 10, 0, 0), PositionFigures("A-Q", 2, 5, 0, 1)])
    )
    fold.apply(PositionChanged(5, 9, ALICE, "B-Q", "-3", "30", "7", "2"))
    assert list(fold.state().positions) == [PositionFigures("A-Q", 2, 5, 0, 1), PositionFigures("B-Q", -3, 30, 7, 2)]
