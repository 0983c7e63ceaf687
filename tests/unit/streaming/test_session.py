"""One session: replies, refusals, limits, order entry, slow readers, close codes."""

import asyncio
import json
from dataclasses import replace

import msgspec
import pytest

from app.errors import ApiError, LinkError
from app.protocol import messages
from app.protocol.close_codes import Close
from app.streaming import feed as feed_module
from tests.unit.streaming.client import UNLIMITED, Client, Frame, replica_of, until
from tests.unit.streaming.exchange import ALICE, SYMBOL, ClientBook, Exchange

BOOK = f"orderbook:{SYMBOL}"
ORDER = {"symbol": SYMBOL, "side": "buy", "type": "limit", "price": "1", "quantity": "1"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "BLOCK_MS", 40)


async def test_first_frame_is_the_welcome() -> None:
    async with replica_of(Exchange(), replace(UNLIMITED, messages_per_s=500.0)) as replica:
        client = replica.client()
        (frame,) = client.read()
        welcome = msgspec.convert(frame, messages.Welcome)
        assert welcome.session_id == client.session.id
        assert welcome.ping_interval_ms == 20_000
        assert (welcome.limits.channels, welcome.limits.message_bytes, welcome.limits.messages_per_s) == (
            200,
            65536,
            500,
        )


async def test_subscribed_comes_first_then_each_channels_first_frame() -> None:
    exchange = Exchange()
    exchange.change([(100, 1)])
    exchange.trade()
    async with replica_of(exchange) as replica:
        # A live market: everything could be answered at once, in any order.
        await replica.hub.ticker(SYMBOL)
        client = replica.client()
        client.read()
        await client.send("subscribe", id="1", channels=[f"ticker:{SYMBOL}", BOOK, f"trades:{SYMBOL}"])
        assert [frame["type"] for frame in client.read()] == ["subscribed", "ticker", "snapshot", "trades"]


async def test_bad_channel_never_harms_the_good_ones() -> None:
    async with replica_of(Exchange()) as replica:
        client = replica.client()
        reply = await client.ask("subscribe", channels=["orderbook:NOPE", BOOK, "nonsense", "orders", BOOK])
        assert reply["channels"] == [BOOK]
        failed = {one["channel"]: one["error"]["code"] for one in reply["failed"]}
        assert failed == {
            "orderbook:NOPE": "unknown_symbol",
            "nonsense": "unknown_channel",
            "orders": "unauthenticated",
        }
        msgspec.convert(reply, messages.Subscribed)
        assert (await client.ask("list"))["channels"] == [BOOK]


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


@pytest.mark.parametrize(
    ("channels", "options"),
    [([BOOK], {"orderbook:AAPL": {"depth": 5}}), ([BOOK], {"ticker:BTC-USD": {}})],
)
async def test_options_of_a_channel_that_was_not_asked_for_are_refused(channels: list[str], options: Frame) -> None:
    async with replica_of(Exchange()) as replica:
        reply = await replica.client().ask("subscribe", channels=channels, options=options)
        assert (reply["type"], reply["error"]["code"], reply["error"]["field"]) == (
            "error",
            "invalid_request",
            "options",
        )


async def test_options_of_a_ticker_are_refused() -> None:
    async with replica_of(Exchange()) as replica:
        name = f"ticker:{SYMBOL}"
        reply = await replica.client().ask("subscribe", channels=[name], options={name: {"depth": 5}})
        assert (reply["channels"], reply["failed"][0]["error"]["field"]) == ([], "options")


async def test_ping_is_answered_with_its_id() -> None:
    async with replica_of(Exchange()) as replica:
        reply = await replica.client().ask("ping")
        assert (reply["type"], reply["id"]) == ("pong", "ask")


@pytest.mark.parametrize(
    ("text", "code", "echoed"),
    [
        ("{", "invalid_json", None),
        ("[1]", "invalid_request", None),
        ('{"action":"cancel_after","id":"5"}', "invalid_request", "5"),
        ('{"action":"session","id":"5","cancel_on_disconnect":"session"}', "invalid_request", "5"),
        ('{"action":"ping","id":"5","surplus":1}', "invalid_request", "5"),
    ],
)
async def test_bad_message_gets_an_error_and_the_session_goes_on(text: str, code: str, echoed: str | None) -> None:
    async with replica_of(Exchange()) as replica:
        client = replica.client()
        client.read()
        await client.session.receive(text)
        (frame,) = client.read()
        assert (frame["type"], frame.get("id"), frame["error"]["code"]) == ("error", echoed, code)
        assert frame["error"]["request_id"].startswith(client.session.id)
        msgspec.convert(frame, messages.ErrorFrame)
        assert (await client.ask("ping"))["type"] == "pong"


# ---- authentication ---------------------------------------------------------------------------------


async def test_token_authenticates() -> None:
    async with replica_of(Exchange()) as replica:
        reply = await replica.client().ask("auth", token="alice")
        assert (reply["type"], reply["account_id"], reply["scopes"]) == ("authenticated", str(ALICE), ["read", "trade"])


async def test_signature_covers_the_streams_path() -> None:
    async with replica_of(Exchange()) as replica:
        await replica.client().ask("auth", key="bob", timestamp=1700000000000, signature="s", recv_window=6000)
        (signed,) = replica.keys.signed
        assert (signed["method"], signed["target"], signed["body"]) == ("GET", "/v1/stream", b"")
        assert (signed["timestamp"], signed["recv_window"]) == ("1700000000000", "6000")
        assert signed["address"] == "127.0.0.1"


async def test_failed_authentication_is_an_error_and_close_4001() -> None:
    async with replica_of(Exchange()) as replica:
        client = replica.client()
        reply = await client.ask("auth", token="nobody")
        assert (reply["type"], reply["error"]["code"]) == ("error", "unauthenticated")
        assert client.session.close is Close.AUTHENTICATION_FAILED


@pytest.mark.parametrize("members", [{}, {"token": "alice", "key": "k"}, {"key": "k", "signature": "s"}])
async def test_half_credentials_are_an_error_only(members: Frame) -> None:
    async with replica_of(Exchange()) as replica:
        client = replica.client()
        assert (await client.ask("auth", **members))["error"]["code"] == "invalid_request"
        assert client.session.close is None


async def test_message_behind_an_auth_waits_for_it() -> None:
    async with replica_of(Exchange()) as replica:
        client = replica.client()
        await client.send("auth", token="alice")
        await client.send("subscribe", id="2", channels=["orders"])
        reply = (await client.until(lambda frame: frame.get("id") == "2"))[-1]
        assert reply["channels"] == ["orders"]


async def test_other_account_needs_a_logout_first() -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        await client.subscribe("orders")
        assert (await client.ask("auth", token="bob"))["error"]["code"] == "invalid_request"
        await client.ask("logout")
        assert (await client.ask("auth", token="bob"))["type"] == "authenticated"


async def test_private_channel_needs_scope_read() -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("trader")
        reply = await client.ask("subscribe", channels=["orders"])
        assert reply["failed"][0]["error"]["code"] == "missing_scope"


async def test_expired_token_trades_no_more_and_closes_4002_after_a_grace() -> None:
    async with replica_of(Exchange()) as replica:
        now_ms = replica.now_ns // 1_000_000
        brief = msgspec.structs.replace(replica.keys.principals["alice"], expires_at_ms=now_ms + 1_000)
        replica.keys.principals["brief"] = brief
        client = await replica.client_of("brief")
        assert (await client.ask("order.place", order=ORDER))["type"] == "result"
        replica.now_ns += 2_000_000_000
        assert (await client.ask("order.place", order=ORDER))["error"]["code"] == "token_expired"
        await replica.ticked()
        assert client.session.close is None
        replica.now_ns += 30_000_000_000
        await replica.ticked()
        assert client.session.close is Close.TOKEN_EXPIRED


async def test_session_that_does_nothing_closes_4003() -> None:
    async with replica_of(Exchange()) as replica:
        idle, subscribed, known = replica.client(), replica.client(), await replica.client_of("alice")
        await subscribed.subscribe(BOOK)
        await idle.ask("ping")
        replica.clock_s += 10.1
        await replica.ticked()
        assert idle.session.close is Close.IDLE
        assert subscribed.session.close is None
        assert known.session.close is None


# ---- limits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["x" * 65_537, "é" * 40_000])
async def test_too_big_a_message_closes_1009(text: str) -> None:
    async with replica_of(Exchange()) as replica:
        client = replica.client()
        await client.session.receive(text)
        assert client.session.close is Close.TOO_BIG


async def test_largest_message_is_answered() -> None:
    async with replica_of(Exchange()) as replica:
        client = replica.client()
        await client.session.receive('{"action":"ping"}'.ljust(65_536))
        assert client.session.close is None
        assert client.read()[-1]["type"] == "pong"


async def test_binary_message_closes_4013() -> None:
    async with replica_of(Exchange()) as replica:
        client = replica.client()
        client.session.receive_binary()
        assert client.session.close is Close.PROTOCOL_ERROR


async def test_too_many_messages_are_refused_and_then_close_4009() -> None:
    limits = replace(UNLIMITED, messages_per_s=10.0, messages_burst=5, refusals_max=3)
    async with replica_of(Exchange(), limits) as replica:
        client = replica.client()
        client.read()
        for number in range(8):
            await client.send("ping", id=str(number))
        frames = client.read()
        assert [frame["type"] for frame in frames] == ["pong"] * 5 + ["error"] * 3
        assert frames[-1]["id"] == "7"
        assert frames[-1]["error"]["code"] == "rate_limited"
        assert frames[-1]["error"]["retry_after_ms"] > 0
        assert client.session.close is None
        await client.send("ping")
        assert client.session.close is Close.RATE_LIMITED


# ---- orders -----------------------------------------------------------------------------------------


async def test_order_actions_are_answered_as_rest_does() -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        placed = await client.ask("order.place", order=ORDER | {"client_order_id": "a1"})
        assert (placed["type"], placed["order"]["client_order_id"]) == ("result", "a1")
        assert placed["order"]["fills"] == []
        canceled = await client.ask("order.cancel", client_order_id="a1")
        assert canceled["order"]["order_id"] == "1"
        amended = await client.ask("order.amend", order_id="1", price="2")
        assert amended["order"]["priority"] == "kept"
        everything = await client.ask("order.cancel_all", symbol=SYMBOL)
        assert (everything["engine_seq"], len(everything["canceled"])) == (9, 1)
        assert [call for call, _ in replica.desk.begun] == ["place", "cancel", "amend", "cancel_all"]


async def test_pipelined_orders_begin_in_the_order_they_came() -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        replica.desk.gate.clear()
        sending = asyncio.create_task(send_orders(client, 200))
        await until(lambda: replica.desk.in_flight == 64)
        assert not sending.done(), "the sixty-fifth waits unread"
        replica.desk.gate.set()
        await sending
        await until(lambda: len(replica.desk.begun) == 200)
        assert [what for _, what in replica.desk.begun] == [f"c{number}" for number in range(200)]
        assert replica.desk.most_in_flight == 64


async def send_orders(client: Client, count: int) -> None:
    for number in range(count):
        await client.send("order.place", order=ORDER | {"client_order_id": f"c{number}"})


async def test_ping_overtakes_an_order_that_waits() -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        replica.desk.gate.clear()
        await client.send("order.place", id="slow", order=ORDER)
        assert (await client.ask("ping"))["type"] == "pong"
        replica.desk.gate.set()
        assert (await client.until(lambda frame: frame.get("id") == "slow"))[-1]["type"] == "result"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (ApiError("insufficient_balance", "no"), "insufficient_balance"),
        (LinkError("lost", sent=True), "execution_unknown"),
        (LinkError("lost", sent=False), "engine_unavailable"),
        (ConnectionResetError(), "service_unavailable"),
        (ZeroDivisionError("bug"), "internal_error"),
    ],
)
async def test_fault_of_an_order_is_its_answer(fault: Exception, code: str) -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        replica.desk.fault = fault
        reply = await client.ask("order.place", order=ORDER)
        assert (reply["type"], reply["error"]["code"]) == ("error", code)
        assert (await client.ask("ping"))["type"] == "pong"


@pytest.mark.parametrize(
    ("name", "action", "members", "code"),
    [
        (None, "order.place", {"order": ORDER}, "unauthenticated"),
        ("reader", "order.place", {"order": ORDER}, "missing_scope"),
        ("reader", "order.cancel_all", {}, "missing_scope"),
        ("alice", "order.cancel", {}, "invalid_request"),
        ("alice", "order.cancel", {"order_id": "1", "client_order_id": "a"}, "invalid_request"),
    ],
)
async def test_order_that_may_not_be_is_refused_before_the_gateway(
    name: str | None, action: str, members: Frame, code: str
) -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of(name) if name else replica.client()
        assert (await client.ask(action, **members))["error"]["code"] == code
        assert replica.desk.begun == []


async def test_order_answered_after_the_end_goes_nowhere() -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        replica.desk.gate.clear()
        await client.send("order.place", order=ORDER)
        await until(lambda: replica.desk.in_flight == 1)
        client.session.detach()
        client.session.end(Close.RESTART)
        replica.desk.gate.set()
        await until(lambda: replica.desk.in_flight == 0)
        await asyncio.sleep(0)
        assert client.read() == []


# ---- slow readers -----------------------------------------------------------------------------------


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


async def test_writer_stuck_for_a_minute_closes_4007_and_then_drops_the_socket() -> None:
    async with replica_of(Exchange()) as replica:
        client = replica.client()
        await client.subscribe(BOOK)
        dropped: list[str] = []
        client.session.abort = lambda: dropped.append("dropped")
        client.session.writing_since_s = replica.clock_s
        replica.clock_s += 59
        await replica.ticked()
        assert client.session.close is None
        replica.clock_s += 2
        await replica.ticked()
        assert client.session.close is Close.TIMEOUT
        assert dropped == []
        replica.clock_s += 6
        await replica.ticked()
        assert dropped == ["dropped"]


async def test_ended_session_holds_nothing() -> None:
    exchange = Exchange()
    async with replica_of(exchange) as replica:
        client = await replica.client_of("alice")
        await client.subscribe(BOOK, "orders")
        await client.next("snapshot")
        client.session.end(Close.RESTART)
        client.session.detach()
        assert replica.hub._accounts == {}
        assert replica.hub._members == set()
        for channel in replica.hub._markets[SYMBOL]._books.values():
            assert channel.members == set()
