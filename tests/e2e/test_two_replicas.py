"""One exchange behind two replicas: what one accepts, the other shows, and no client can tell them apart."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.dev.client import RequestRefused, RestClient, StreamSession
from app.dev.credentials import Credentials
from tests.book_client import ClientBook
from tests.exchange import Exchange

CHANGES = 10_000
BURST = 50
LIFE_S = 0.8
KEY_ENDS_S = 5.0


def order(symbol: str, side: str, price: int, quantity: int) -> dict[str, Any]:
    return {"symbol": symbol, "side": side, "type": "limit", "price": f"{price / 100:.2f}", "quantity": str(quantity)}


async def test_an_order_on_one_replica_appears_in_the_book_stream_of_the_other(exchange: Exchange) -> None:
    async with (
        RestClient(exchange.rest[0], exchange.accounts["alice"]) as alice,
        await StreamSession.connect(exchange.ws[1]) as stream,
    ):
        await stream.subscribe("orderbook:ETH-USD")
        first = await stream.next_frame("snapshot")
        placed = await alice.call("POST", "/v1/orders", order("ETH-USD", "buy", 123_456, 1))
        delta = await stream.next_frame("delta")
        assert delta["bids"] == [["1234.56", "1"]]
        assert (delta["prev_seq"], delta["seq"]) == (first["seq"], placed["book"]["seq"])
        assert delta["engine_seq"] == placed["engine_seq"]
        canceled = await alice.call("DELETE", f"/v1/orders/{placed['order_id']}")
        assert canceled["status"] == "canceled"
        assert (await stream.next_frame("delta"))["bids"] == [["1234.56", "0"]]


async def test_reads_on_the_other_replica_see_ones_own_write(exchange: Exchange) -> None:
    async with (
        RestClient(exchange.rest[0], exchange.accounts["bob"]) as here,
        RestClient(exchange.rest[1], exchange.accounts["bob"]) as there,
    ):
        for price in range(9_000, 9_020):
            placed = await here.call("POST", "/v1/orders", order("XAU-USD", "buy", price, 1))
            target = f"/v1/orders/{placed['order_id']}"
            seen = await there.call("GET", f"{target}?min_seq={placed['engine_seq']}")
            assert seen["as_of_seq"] >= placed["engine_seq"]
            assert {name: seen[name] for name in ("order_id", "status", "price")} == {
                "order_id": placed["order_id"],
                "status": "open",
                "price": f"{price / 100:g}",
            }
            # On the replica that acknowledged the write no min_seq is needed.
            assert (await here.call("GET", target))["status"] == "open"
        canceled = await here.call("DELETE", "/v1/orders?symbol=XAU-USD")
        assert len(canceled["canceled"]) == 20


async def test_an_order_ends_at_its_time_and_both_replicas_see_it(exchange: Exchange) -> None:
    body = order("ETH-USD", "buy", 120_000, 1)
    at = (datetime.now(UTC) + timedelta(seconds=LIFE_S)).isoformat()
    async with (
        RestClient(exchange.rest[0], exchange.accounts["alice"]) as alice,
        RestClient(exchange.rest[1], exchange.accounts["alice"]) as there,
        await StreamSession.connect(exchange.ws[1]) as stream,
    ):
        await stream.subscribe("orderbook:ETH-USD")
        await stream.next_frame("snapshot")
        placed = await alice.call("POST", "/v1/orders", body | {"time_in_force": "gtd", "expire_at": at})
        assert placed["status"] == "open"
        assert (await stream.next_frame("delta"))["bids"] == [["1200", "1"]]
        gone = await stream.next_frame("delta")
        assert gone["bids"] == [["1200", "0"]]
        ended = await there.call("GET", f"/v1/orders/{placed['order_id']}?min_seq={gone['engine_seq']}")
        assert (ended["status"], ended["reason"]) == ("expired", "gtd")


async def test_a_kill_switch_clears_an_instrument_and_refuses_orders_until_it_is_off(exchange: Exchange) -> None:
    switch = {"scope": "instrument", "target": "ETH-USD"}
    async with (
        RestClient(exchange.rest[0], exchange.accounts["alice"]) as alice,
        RestClient(exchange.rest[1], exchange.accounts["admin"]) as admin,
        await StreamSession.connect(exchange.ws[1]) as stream,
    ):
        await stream.subscribe("orderbook:ETH-USD")
        await stream.next_frame("snapshot")
        placed = await alice.call("POST", "/v1/orders", order("ETH-USD", "buy", 110_000, 1))
        await stream.next_frame("delta")
        killed = await admin.call("POST", "/v1/admin/kill-switch", switch | {"on": True, "note": "drill"})
        assert (killed["on"], killed["duplicate"]) == (True, False)
        gone = await stream.next_frame("delta")
        assert gone["bids"] == [["1100", "0"]]
        ended = await alice.call("GET", f"/v1/orders/{placed['order_id']}?min_seq={gone['engine_seq']}")
        assert (ended["status"], ended["reason"]) == ("canceled", "kill_switch")
        with pytest.raises(RequestRefused) as refused:
            await alice.call("POST", "/v1/orders", order("ETH-USD", "buy", 110_000, 1))
        assert (refused.value.problem["code"], refused.value.problem["field"]) == ("kill_switch", "instrument")
        assert (await admin.call("POST", "/v1/admin/kill-switch", switch | {"on": True}))["duplicate"]
        await admin.call("POST", "/v1/admin/kill-switch", switch | {"on": False})
        again = await alice.call("POST", "/v1/orders", order("ETH-USD", "buy", 110_000, 1))
        assert again["status"] == "open"
        await alice.call("DELETE", f"/v1/orders/{again['order_id']}")


async def test_an_account_that_falls_silent_loses_its_orders(exchange: Exchange) -> None:
    async with RestClient(exchange.rest[0], exchange.accounts["bob"]) as bob:
        placed = await bob.call("POST", "/v1/orders", order("XAU-USD", "buy", 110_000, 1))
        armed = await bob.call("POST", "/v1/cancel-after", {"timeout_ms": 3_000})
        assert armed["trigger_at"] > placed["created_at"]
        assert (await bob.call("POST", "/v1/cancel-after", {"timeout_ms": 0}))["trigger_at"] is None
        await bob.call("POST", "/v1/cancel-after", {"timeout_ms": 3_000, "symbols": ["XAU-USD"]})
        async with asyncio.timeout(10):
            seen = placed
            while seen["status"] == "open":
                await asyncio.sleep(0.1)
                seen = await bob.call("GET", f"/v1/orders/{placed['order_id']}")
        assert (seen["status"], seen["reason"]) == ("canceled", "cancel_after")


@pytest.mark.parametrize("seeded_late", [False, True])
async def test_a_book_seeded_by_rest_of_one_replica_follows_the_deltas_of_the_other(
    exchange: Exchange, seeded_late: bool
) -> None:
    symbol = "AAPL" if seeded_late else "BTC-USD"
    chance = random.Random(20150501)
    book, buffered, changes = ClientBook(), [], 0

    def on_frame(frame: dict[str, Any]) -> None:
        if frame["type"] == "delta":
            buffered.append(frame) if book.seq is None else book.apply(frame)

    async with (
        RestClient(exchange.rest[0]) as rest,
        await StreamSession.connect(exchange.ws[1], on_frame=on_frame) as stream,
        await StreamSession.connect(exchange.ws[0], exchange.accounts["alice"]) as alice,
        await StreamSession.connect(exchange.ws[1], exchange.accounts["bob"]) as bob,
    ):
        await stream.subscribe(f"orderbook:{symbol}")
        for burst in range(CHANGES // (2 * BURST)):
            if book.seq is None and (not seeded_late or burst == 20):
                book.seed(await rest.call("GET", f"/v1/orderbook/{symbol}"))
                for delta in buffered:
                    book.apply(delta)
            price = 10_000 + burst % 37
            answers = [
                session.begin("order.place", order=order(symbol, side, price + step * chance.randrange(1, 9), 1))
                for _ in range(BURST)
                for session, side, step in ((alice, "buy", -1), (bob, "sell", 1))
            ]
            changes += len(await asyncio.gather(*answers))
            if burst % 5 == 4:
                # Keeps the books small and lets levels come and go.
                for session in (alice, bob):
                    await session.request("order.cancel_all", symbol=symbol)
        last = await alice.request("order.place", order=order(symbol, "buy", 5_000, 1))
        snapshot = await rest.call("GET", f"/v1/orderbook/{symbol}?min_seq={last['order']['engine_seq']}")
        async with asyncio.timeout(10):
            while book.seq != snapshot["seq"]:  # noqa: ASYNC110  # polls what frames change
                await asyncio.sleep(0.01)
        state = book.state()
        for session in (alice, bob):
            await session.request("order.cancel_all", symbol=symbol)
    assert changes == CHANGES
    assert book.applied > 100
    assert state == (snapshot["epoch"], snapshot["seq"], snapshot["bids"], snapshot["asks"])


async def test_key_revoked_on_one_replica_ends_its_stream_on_the_other(exchange: Exchange) -> None:
    async with RestClient(exchange.rest[0], exchange.accounts["alice"]) as owner:
        key = await owner.call("POST", "/v1/api-keys", {"name": "stolen", "scopes": ["read", "trade"]})
        thief = Credentials(exchange.accounts["alice"].account_id, key["key"], key["secret"])
        async with await StreamSession.connect(exchange.ws[1], thief) as stream:
            await owner.call("DELETE", f"/v1/api-keys/{key['key']}")
            async with asyncio.timeout(KEY_ENDS_S):
                await stream.closed.wait()
            assert stream.close_code == 4001
