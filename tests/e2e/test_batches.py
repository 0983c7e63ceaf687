"""Batches over the public API, atomic and not, on both transports."""

from typing import Any

import pytest

from app.dev.client import RequestRefused, RestClient, StreamSession
from tests.exchange import Exchange
from tests.listed_market import limit, market


def named(symbol: str, name: str, price: str, quantity: str = "1") -> dict[str, Any]:
    return limit(symbol, "buy", price, quantity) | {"client_order_id": f"{symbol}-{name}"}


async def test_a_batch_that_is_not_atomic_places_each_order_by_itself_and_may_be_repeated(exchange: Exchange) -> None:
    alice = exchange.accounts["alice"]
    async with (
        market(exchange) as symbol,
        RestClient(exchange.rest[0], alice) as rest,
        await StreamSession.connect(exchange.ws[1], alice) as stream,
    ):
        orders = [
            named(symbol, "taker", "110", "2"),
            named(symbol, "broken", "99.001"),
            named(symbol, "poor", "109", "1000000"),
            named(symbol, "rests", "98"),
        ]
        answer = await rest.call("POST", "/v1/orders/batch", {"orders": orders})
        taker, broken, poor, rests = answer["results"]
        assert (taker["order"]["status"], [fill["quantity"] for fill in taker["order"]["fills"]]) == ("filled", ["2"])
        assert (broken["error"]["code"], broken["error"]["field"]) == ("invalid_price_tick", "price")
        assert poor["error"]["code"] == "insufficient_balance"
        assert (rests["order"]["status"], rests["order"]["duplicate"]) == ("open", False)
        again = await stream.request("order.batch", orders=orders)
        assert [result["order"]["duplicate"] for result in again["results"] if "order" in result] == [True, True]
        assert again["results"][3]["order"]["order_id"] == rests["order"]["order_id"]
        canceled = await stream.request("order.cancel_all", symbol=symbol)
        assert [order["order_id"] for order in canceled["canceled"]] == [rests["order"]["order_id"]]


async def test_an_atomic_batch_is_all_or_nothing(exchange: Exchange) -> None:
    alice = exchange.accounts["alice"]
    async with (
        market(exchange) as symbol,
        RestClient(exchange.rest[0], alice) as rest,
        await StreamSession.connect(exchange.ws[1], alice) as stream,
    ):
        batch = {"atomic": True, "orders": [named(symbol, "a", "98"), named(symbol, "b", "97", "1000000")]}
        refused = await stream.request("order.batch", **batch)
        assert [(result["error"]["code"], result["error"].get("field")) for result in refused["results"]] == [
            ("invalid_request", "orders"),
            ("insufficient_balance", None),
        ]
        listed = await rest.call("GET", f"/v1/orders?symbol={symbol}&min_seq={refused['engine_seq']}&status=open")
        assert listed["data"] == []
        batch["orders"] = [named(symbol, "a", "98"), named(symbol, "b", "97")]
        placed = await rest.call("POST", "/v1/orders/batch", batch)
        assert [result["order"]["status"] for result in placed["results"]] == ["open", "open"]
        with pytest.raises(RequestRefused) as whole:
            await rest.call("POST", "/v1/orders/batch", batch | {"orders": [named(symbol, "c", "97.001")]})
        assert (whole.value.code, whole.value.problem["field"]) == ("invalid_price_tick", "orders[0].price")
        await rest.call("DELETE", f"/v1/orders?symbol={symbol}")
