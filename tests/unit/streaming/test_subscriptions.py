"""Public channels of a session: joining again, leaving, and readers who are too slow."""

import json
from dataclasses import replace

import pytest

from app.protocol.close_codes import Close
from app.streaming import feed as feed_module
from app.streaming.book_channels import BookView
from tests.unit.streaming.client import UNLIMITED, Client, Frame, replica_of, until
from tests.unit.streaming.client_book import ClientBook
from tests.unit.streaming.exchange import ALICE, SYMBOL, Exchange

BOOK = f"orderbook:{SYMBOL}"
ORDER = {"symbol": SYMBOL, "side": "buy", "type": "limit", "price": "1", "quantity": "1"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "BLOCK_MS", 40)
    monkeypatch.setattr(feed_module, "POLL_S", 0.005)


async def test_subscribing_again_gives_a_fresh_first_frame() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client, book = replica.client(), ClientBook()
        await client.subscribe(BOOK)
        book.take(await client.next("snapshot"))
        exchange.change([(100, 1)])
        await replica.applied()
        await client.send("subscribe", channels=[BOOK])
        frames = client.read()
        assert [frame["type"] for frame in frames] == ["delta", "subscribed", "snapshot"]
        assert (frames[-1]["reason"], frames[-1]["seq"]) == ("resync", 1)
        (channel,) = replica.hub._markets[SYMBOL]._books.values()
        assert len(channel.members) == 1


async def test_trades_joined_again_lose_nothing() -> None:
    exchange = Exchange()
    exchange.trade()
    async with replica_of(exchange) as replica:
        client = replica.client()
        await client.subscribe(f"trades:{SYMBOL}")
        await client.next("trades")
        await client.subscribe(f"trades:{SYMBOL}")
        exchange.trade()
        await replica.applied()
        ids = [[trade["trade_id"] for trade in frame["trades"]] for frame in client.read()]
        assert ids == [["1"], ["2"]]


async def test_unsubscribed_channel_is_silent() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client = replica.client()
        await client.subscribe(BOOK)
        await client.next("snapshot")
        reply = await client.ask("unsubscribe", channels=[BOOK, f"trades:{SYMBOL}"])
        assert (reply["type"], reply["channels"]) == ("unsubscribed", [BOOK])
        exchange.change([(100, 1)])
        await replica.applied()
        assert client.read() == []
        assert (await client.ask("list"))["channels"] == []


async def test_two_hundred_channels_and_not_one_more() -> None:
    symbols = [f"S{number}" for number in range(5)]
    async with replica_of(Exchange(*symbols), replace(UNLIMITED, channels_max=4)) as replica:
        client = await replica.client_of("alice")
        reply = await client.ask("subscribe", channels=[f"ticker:{symbol}" for symbol in symbols])
        assert [one["error"]["code"] for one in reply["failed"]] == ["too_many_subscriptions"]
        assert len(reply["channels"]) == 4
        assert (await client.ask("subscribe", channels=["orders"]))["channels"] == []
        assert (await client.ask("subscribe", channels=["ticker:S0"]))["channels"] == ["ticker:S0"]


async def test_slow_reader_gets_lagging_once_then_a_fresh_snapshot_and_others_are_untouched() -> None:
    exchange = Exchange()
    async with replica_of(exchange, replace(UNLIMITED, state_bytes_max=2_000)) as replica:
        slow, quick = replica.client(), replica.client()
        slow_book, quick_book = ClientBook(), ClientBook()
        for client, book in ((slow, slow_book), (quick, quick_book)):
            await client.subscribe(BOOK)
            book.take(await client.next("snapshot"))
        for number in range(100):
            exchange.change([(50 + number % 20, number % 3)])
            await replica.applied()
            for frame in quick.read():
                assert frame["type"] == "delta"
                quick_book.take(frame)
        texts = raw_frames(slow)
        assert [frame["type"] for frame in texts] == ["lagging"], "the backlog is gone, and nothing is made for it"
        assert texts[0]["channels"] == [BOOK]
        slow.session.pump()
        (snapshot,) = raw_frames(slow)
        assert (snapshot["type"], snapshot["reason"]) == ("snapshot", "resync")
        slow_book.take(snapshot)
        exchange.change([(50, 9)])
        await replica.applied()
        for client, book in ((slow, slow_book), (quick, quick_book)):
            for frame in client.read():
                book.take(frame)
        assert (slow_book.seq, slow_book.bids, slow_book.asks) == (quick_book.seq, quick_book.bids, quick_book.asks)
        assert quick_book.gaps == slow_book.gaps == 0
        assert slow.session.close is None


def raw_frames(client: Client) -> list[Frame]:
    """Read what waits without the pump that a writer does afterwards."""
    frames = []
    while (text := client.session.outbox.take()) is not None:
        frames.append(json.loads(text))
    return frames


async def test_lagging_book_is_not_in_the_heartbeat() -> None:
    exchange = Exchange()
    async with replica_of(exchange, replace(UNLIMITED, state_bytes_max=500)) as replica:
        client = replica.client()
        await client.subscribe(BOOK)
        await client.next("snapshot")
        for number in range(10):
            exchange.change([(50 + number, 1)])
        await replica.applied()
        await replica.ticked()
        frames = raw_frames(client)
        assert [frame["type"] for frame in frames] == ["lagging", "heartbeat"]
        assert frames[-1]["books"] == {}


async def test_many_large_snapshots_come_one_after_the_other() -> None:
    symbols = [f"S{number}" for number in range(20)]
    exchange = Exchange(*symbols)
    for symbol in symbols:
        exchange.change([(price, 1) for price in range(1, 2000)], symbol=symbol)
    async with replica_of(exchange, replace(UNLIMITED, state_bytes_max=100_000)) as replica:
        client = replica.client()
        await client.subscribe(*[f"orderbook:{symbol}" for symbol in symbols])
        await until(lambda: all(market.book for market in replica.hub._markets.values()))
        assert len(client.session.outbox) <= 5
        seen = [(await client.next("snapshot"))["channel"] for _ in symbols]
        assert sorted(seen) == sorted(f"orderbook:{symbol}" for symbol in symbols)
        assert [frame["type"] for frame in client.read()] == []


async def test_reader_too_slow_for_facts_is_closed_4008() -> None:
    exchange = Exchange()
    async with replica_of(exchange, replace(UNLIMITED, fact_bytes_max=3_000)) as replica:
        slow, quick = replica.client(), replica.client()
        for client in (slow, quick):
            await client.subscribe(f"trades:{SYMBOL}")
            await client.next("trades")
        ids = []
        for _ in range(40):
            exchange.trade()
            await replica.applied()
            ids += [trade["trade_id"] for frame in quick.read() for trade in frame["trades"]]
        assert slow.session.close is Close.SLOW_CONSUMER
        assert ids == [str(number) for number in range(1, 41)]
        assert quick.session.close is None
        assert slow.read() == [], "nothing is sent past a gap"


async def test_slow_private_reader_is_closed_4008() -> None:
    exchange = Exchange()
    async with replica_of(exchange, replace(UNLIMITED, fact_bytes_max=5_000)) as replica:
        client = await replica.client_of("alice")
        await client.subscribe("orders", "balances")
        for _ in range(2):
            await client.next("snapshot")
        for _ in range(40):
            exchange.place(ALICE)
        await replica.applied()
        assert client.session.close is Close.SLOW_CONSUMER
        assert replica.hub._accounts == {}


async def test_views_nobody_watches_are_forgotten_with_their_timers() -> None:
    exchange = Exchange()
    exchange.change([(100, 1)])
    async with replica_of(exchange) as replica:
        client, other = replica.client(), replica.client()
        await other.subscribe(BOOK, options={BOOK: {"depth": 2}})
        market = replica.hub._markets[SYMBOL]
        views: list[BookView] = []
        for depth in range(1, 51):
            await client.subscribe(BOOK, options={BOOK: {"depth": depth, "interval_ms": 1000}})
            await client.next("snapshot")
            exchange.change([(100, 2 * depth)])
            exchange.change([(100, 2 * depth + 1)])
            await replica.applied()
            view = client.session._public._by_name[BOOK].channel
            assert isinstance(view, BookView)
            views.append(view)
            assert view._timer is not None
        await client.ask("unsubscribe", channels=[BOOK])
        assert [view for view in views if view._timer is not None] == []
        assert len(market._books) <= 2
        other.session.detach()
        assert len(market._books) <= 1


async def test_view_is_whole_for_who_comes_after_it_was_forgotten() -> None:
    exchange = Exchange()
    exchange.change([(100, 1)])
    async with replica_of(exchange) as replica:
        client = replica.client()
        for quantity in range(2, 5):
            book = ClientBook()
            await client.subscribe(BOOK, options={BOOK: {"depth": 1}})
            book.take(await client.next("snapshot"))
            exchange.change([(100, quantity)])
            await replica.applied()
            book.take(await client.next("delta"))
            assert (book.bids, book.gaps) == ({"1": f"0.00{quantity}"}, 0)
            await client.ask("unsubscribe", channels=[BOOK])


async def test_session_that_ends_while_a_view_is_shown_harms_no_other_view() -> None:
    exchange = Exchange()
    exchange.change([(100, 1)])
    async with replica_of(exchange, replace(UNLIMITED, state_bytes_max=0, fact_bytes_max=0)) as replica:
        clients = [replica.client() for _ in range(4)]
        for depth, client in enumerate(clients, 1):
            client.read()
            await client.subscribe(BOOK, options={BOOK: {"depth": depth}})
            await client.next("snapshot")
        # The first one reads neither this reply nor any delta: the second delta ends its session.
        await clients[0].send("ping")
        for quantity in (2, 3):
            exchange.change([(100, quantity)])
            await replica.applied()
            for client in clients[1:]:
                (delta,) = client.read()
                assert delta["bids"] == [["1", f"0.00{quantity}"]]
        assert clients[0].session.close is Close.SLOW_CONSUMER
        assert len(replica.hub._markets[SYMBOL]._books) == 3
