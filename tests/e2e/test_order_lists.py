"""Order lists and validation over the public API, on a running exchange."""

from typing import Any

import pytest

from app.dev.client import RequestRefused, RestClient
from tests.exchange import Exchange
from tests.listed_market import limit, market


def stop(symbol: str, side: str, trigger: str, quantity: str) -> dict[str, Any]:
    return {"symbol": symbol, "side": side, "type": "stop", "trigger_price": trigger, "quantity": quantity}


async def test_of_an_oco_pair_the_other_order_is_canceled_when_one_trades(exchange: Exchange) -> None:
    async with (
        market(exchange) as symbol,
        RestClient(exchange.rest[0], exchange.accounts["alice"]) as alice,
        RestClient(exchange.rest[1], exchange.accounts["alice"]) as elsewhere,
        RestClient(exchange.rest[0], exchange.accounts["bob"]) as bob,
    ):
        pair = [limit(symbol, "sell", "108", "1") | {"client_order_id": f"{symbol}-a"}, stop(symbol, "sell", "90", "1")]
        body = {"kind": "oco", "orders": pair}
        placed = await alice.call("POST", "/v1/order-lists", body)
        assert [order["status"] for order in placed["orders"]] == ["open", "untriggered"]
        assert {order["order_list_id"] for order in placed["orders"]} == {placed["order_list_id"]}
        again = await alice.call("POST", "/v1/order-lists", body)
        assert (again["duplicate"], again["order_list_id"]) == (True, placed["order_list_id"])
        trade = await bob.call("POST", "/v1/orders", limit(symbol, "buy", "108", "1"))
        path = f"/v1/order-lists/{placed['order_list_id']}"
        seen = await elsewhere.call("GET", f"{path}?min_seq={trade['engine_seq']}")
        assert [(order["status"], order["reason"]) for order in seen["orders"]] == [
            ("filled", None),
            ("canceled", "oco_peer"),
        ]
        with pytest.raises(RequestRefused) as foreign:
            await bob.call("GET", f"{path}?min_seq={trade['engine_seq']}")
        assert foreign.value.code == "not_found"


async def test_a_bracket_waits_for_its_entry_and_is_canceled_as_one(exchange: Exchange) -> None:
    async with (
        market(exchange) as symbol,
        RestClient(exchange.rest[0], exchange.accounts["alice"]) as alice,
    ):
        orders = [limit(symbol, "buy", "99", "2"), limit(symbol, "sell", "120", "2"), stop(symbol, "sell", "90", "2")]
        placed = await alice.call("POST", "/v1/order-lists", {"kind": "bracket", "orders": orders})
        assert [order["status"] for order in placed["orders"]] == ["open", "pending", "pending"]
        with pytest.raises(RequestRefused) as refused:
            await alice.call("PATCH", f"/v1/orders/{placed['orders'][0]['order_id']}", {"quantity": "1"})
        assert (refused.value.code, refused.value.problem["field"]) == ("invalid_request", "quantity")
        canceled = await alice.call("DELETE", f"/v1/order-lists/{placed['order_list_id']}")
        assert [order["status"] for order in canceled["canceled"]] == ["canceled"] * len(canceled["canceled"])
        path = f"/v1/order-lists/{placed['order_list_id']}?min_seq={canceled['engine_seq']}"
        assert {order["status"] for order in (await alice.call("GET", path))["orders"]} == {"canceled"}


async def test_a_list_that_makes_no_sense_is_refused_whole(exchange: Exchange) -> None:
    async with market(exchange) as symbol, RestClient(exchange.rest[0], exchange.accounts["alice"]) as alice:
        orders = [limit(symbol, "sell", "108", "1"), stop(symbol, "buy", "120", "1")]
        with pytest.raises(RequestRefused) as refused:
            await alice.call("POST", "/v1/order-lists", {"kind": "oco", "orders": orders})
        assert (refused.value.code, refused.value.problem["field"]) == ("invalid_request", "orders")
        with pytest.raises(RequestRefused) as refused:
            await alice.call("POST", "/v1/order-lists", {"kind": "oco", "orders": orders[:1]})
        assert refused.value.problem["field"] == "orders"


async def test_validation_tells_every_check_with_its_headroom_and_places_nothing(exchange: Exchange) -> None:
    async with (
        market(exchange, max_quantity="100") as symbol,
        RestClient(exchange.rest[0], exchange.accounts["alice"]) as alice,
    ):
        target = "/v1/orders?validate_only=true"
        good = await alice.call("POST", target, limit(symbol, "buy", "100", "1"))
        assert good["valid"]
        checks = {check["check"]: check for check in good["checks"]}
        assert {"kill_switch", "price_band", "open_order_limit", "insufficient_balance"} <= set(checks)
        money = checks["insufficient_balance"]
        assert money["used"] == "100"
        assert float(money["headroom"]) == pytest.approx(float(money["limit"]) - 100)
        bad = await alice.call("POST", target, limit(symbol, "buy", "100", "101"))
        assert [check["check"] for check in bad["checks"] if not check["passed"]] == ["quantity_out_of_range"]
        (size,) = [check for check in bad["checks"] if not check["passed"]]
        assert (size["limit"], size["used"], size["headroom"]) == ("100", "101", "-1")
        orders = await alice.call("GET", f"/v1/orders?symbol={symbol}&status=open&min_seq={bad['engine_seq']}")
        assert orders["data"] == []
