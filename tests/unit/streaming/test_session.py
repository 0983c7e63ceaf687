"""One session: replies, refusals, limits, order entry, slow readers, close codes."""

from dataclasses import replace

import msgspec
import pytest

from app.protocol import messages, schemas
from app.protocol.close_codes import Close
from app.streaming import feed as feed_module
from tests.unit.streaming.client import UNLIMITED, Frame, replica_of
from tests.unit.streaming.exchange import ALICE, SYMBOL, Exchange

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
        ('{"action":"session","id":"5","cancel_on_disconnect":"everything"}', "invalid_request", "5"),
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


# ---- slow readers -----------------------------------------------------------------------------------


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


async def test_batch_and_cancel_after_are_answered_with_their_own_members() -> None:
    async with replica_of(Exchange()) as replica:
        client = replica.client()
        await client.ask("auth", token="alice")
        order = {"symbol": SYMBOL, "side": "buy", "type": "limit", "price": "1", "quantity": "1"}
        reply = await client.ask(
            "order.batch", orders=[order | {"client_order_id": name} for name in "ab"], atomic=True
        )
        assert (reply["type"], reply["engine_seq"]) == ("result", 9)
        assert [result["order"]["client_order_id"] for result in reply["results"]] == ["a", "b"]
        reply = await client.ask("cancel_after", timeout_ms=5_000, symbols=[SYMBOL], keep_protective=True)
        assert reply["engine_seq"] == 9
        request = schemas.CancelAfterRequest(5_000, [SYMBOL], keep_protective=True)
        assert replica.desk.begun == [("place_batch", ["a", "b"]), ("cancel_after", request)]
