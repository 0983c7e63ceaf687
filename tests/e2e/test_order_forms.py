"""Every order form over the public API: placed on one transport, seen on the other replica, amended, canceled."""

import asyncio
from typing import Any, NamedTuple

import pytest

from app.dev.client import RequestRefused, RestClient, StreamSession
from tests.exchange import Exchange
from tests.listed_market import limit, market

FAR_AWAY = "2100-01-01T00:00:00.000000Z"


class Form(NamedTuple):
    """An order that waits or rests, what it shows beside its body, and an amend with what that changes."""

    body: dict[str, Any]
    shows: dict[str, Any]
    amend: dict[str, Any]
    priority: str
    amended: dict[str, Any]


FORMS = {
    "stop": Form(
        {"type": "stop", "side": "sell", "trigger_price": "95"},
        {"status": "untriggered", "price": None, "trigger_by": "last", "time_in_force": "gtc"},
        {"trigger_price": "94.5"},
        "lost",
        {"trigger_price": "94.5", "status": "untriggered"},
    ),
    "stop_limit": Form(
        {"type": "stop_limit", "side": "buy", "trigger_price": "120", "price": "121", "trigger_by": "last"},
        {"status": "untriggered"},
        {"price": "122.5"},
        "kept",
        {"price": "122.5", "trigger_price": "120"},
    ),
    "take_profit": Form(
        {"type": "take_profit", "side": "sell", "trigger_price": "130", "time_in_force": "day"},
        {"status": "untriggered", "price": None},
        {"quantity": "1.5"},
        "kept",
        {"quantity": "1.5", "remaining_quantity": "1.5"},
    ),
    "take_profit_limit by mark": Form(
        {"type": "take_profit_limit", "side": "buy", "trigger_price": "90", "price": "91", "trigger_by": "mark"},
        {"status": "untriggered"},
        {"trigger_price": "89", "price": "90"},
        "lost",
        {"trigger_price": "89", "price": "90"},
    ),
    "trailing_stop": Form(
        {"type": "trailing_stop", "side": "sell", "trailing_offset": "7.5"},
        {"status": "untriggered", "price": None, "trigger_price": "97.5", "trigger_by": "last"},
        {"quantity": "1"},
        "kept",
        {"quantity": "1", "trigger_price": "97.5"},
    ),
    "iceberg": Form(
        {"type": "limit", "side": "buy", "price": "99", "display_quantity": "0.25"},
        {"status": "open", "trigger_price": None},
        {"display_quantity": "0.5"},
        "lost",
        {"display_quantity": "0.5", "quantity": "2"},
    ),
    "post_only and gtd": Form(
        {"type": "limit", "side": "buy", "price": "111", "post_only": "reprice", "time_in_force": "gtd"}
        | {"expire_at": FAR_AWAY},
        {"status": "open", "price": "109.99", "display_quantity": None},
        {"quantity": "1"},
        "kept",
        {"quantity": "1", "expire_at": FAR_AWAY},
    ),
}


@pytest.mark.parametrize("kind", FORMS)
async def test_an_order_of_each_form_is_placed_seen_amended_and_canceled_on_both_transports(
    exchange: Exchange, kind: str
) -> None:
    form = FORMS[kind]
    alice = exchange.accounts["alice"]
    async with (
        market(exchange) as symbol,
        RestClient(exchange.rest[0], alice) as rest,
        RestClient(exchange.rest[1], alice) as elsewhere,
        await StreamSession.connect(exchange.ws[1], alice) as stream,
    ):
        body = {"symbol": symbol, "quantity": "2"} | form.body

        async def over_rest(sent: dict[str, Any]) -> dict[str, Any]:
            return await rest.call("POST", "/v1/orders", sent)

        async def over_stream(sent: dict[str, Any]) -> dict[str, Any]:
            placed: dict[str, Any] = (await stream.request("order.place", order=sent))["order"]
            return placed

        for place in (over_rest, over_stream):
            placed = await place(body)
            expected = body | form.shows
            assert {name: placed[name] for name in expected} == expected
            target = f"/v1/orders/{placed['order_id']}"
            seen = await elsewhere.call("GET", f"{target}?min_seq={placed['engine_seq']}")
            common = set(seen) & set(placed)
            assert {name: seen[name] for name in common} == {name: placed[name] for name in common}
            if place is over_rest:
                amended = await rest.call("PATCH", target, form.amend)
                canceled = await rest.call("DELETE", target)
            else:
                order_id = placed["order_id"]
                amended = (await stream.request("order.amend", order_id=order_id, **form.amend))["order"]
                canceled = (await stream.request("order.cancel", order_id=order_id))["order"]
            assert (amended["priority"], amended["version"]) == (form.priority, 2)
            assert {name: amended[name] for name in form.amended} == form.amended
            assert (canceled["status"], canceled["reason"]) == ("canceled", "user")
            seen = await elsewhere.call("GET", f"{target}?min_seq={canceled['engine_seq']}")
            assert {name: seen[name] for name in form.amended if name != "status"} == {
                name: value for name, value in form.amended.items() if name != "status"
            }
            assert (seen["status"], seen["version"]) == ("canceled", 3)


async def test_a_market_buy_by_money_spends_what_was_named_and_says_what_it_bought(exchange: Exchange) -> None:
    async with (
        market(exchange) as symbol,
        RestClient(exchange.rest[0], exchange.accounts["alice"]) as alice,
    ):
        body = {"symbol": symbol, "side": "buy", "type": "market", "quote_quantity": "275.06"}
        placed = await alice.call("POST", "/v1/orders", body)
        assert placed["quote_quantity"] == "275.06"
        assert (placed["status"], placed["filled_quantity"], placed["quantity"]) == ("filled", "2.5", "2.5")
        with pytest.raises(RequestRefused) as refused:
            await alice.call("POST", "/v1/orders", body | {"quote_quantity": "0.1"})
        assert (refused.value.code, refused.value.problem["field"]) == ("quantity_out_of_range", "quote_quantity")
        assert refused.value.problem["limit"] == "0.11"


async def test_a_stop_runs_when_its_trigger_trades_and_the_private_stream_tells_each_step(exchange: Exchange) -> None:
    alice = exchange.accounts["alice"]
    async with (
        market(exchange) as symbol,
        RestClient(exchange.rest[0], alice) as rest,
        RestClient(exchange.rest[0], exchange.accounts["bob"]) as bob,
        await StreamSession.connect(exchange.ws[1], alice) as stream,
    ):
        await stream.subscribe("orders")
        stop = {"symbol": symbol, "side": "sell", "type": "stop", "trigger_price": "100", "quantity": "0.5"}
        placed = await rest.call("POST", "/v1/orders", stop)
        # A print at the trigger: bob sells into his own bid's level, met by an order of alice's in front of it.
        await rest.call("POST", "/v1/orders", limit(symbol, "buy", "100", "1") | {"client_order_id": symbol})
        await bob.call("POST", "/v1/orders", limit(symbol, "sell", "100", "5.5") | {"stp": "decrement"})
        events: list[dict[str, Any]] = []
        async with asyncio.timeout(10):
            while not events or events[-1]["event"] not in ("order.filled", "order.canceled"):
                frame = await stream.next_frame("event")
                if frame.get("order", {}).get("order_id") == placed["order_id"]:
                    events.append(frame)
        assert [event["event"] for event in events[:2]] == ["order.accepted", "order.triggered"]
        assert [event["order"]["status"] for event in events[:2]] == ["untriggered", "open"]
        await rest.call("DELETE", f"/v1/orders?symbol={symbol}")


async def test_a_form_that_makes_no_order_is_refused_with_its_field(exchange: Exchange) -> None:
    bad: list[tuple[dict[str, Any], str]] = [
        ({"type": "stop", "quantity": "1"}, "trigger_price"),
        ({"type": "stop", "quantity": "1", "trigger_price": "90", "price": "90"}, "price"),
        ({"type": "limit", "quantity": "1", "price": "90", "display_quantity": "1"}, "display_quantity"),
        ({"type": "limit", "quantity": "1", "price": "90", "trigger_by": "last"}, "trigger_by"),
        ({"type": "trailing_stop", "quantity": "1"}, "trailing_offset"),
        ({"type": "limit", "price": "90", "quote_quantity": "10"}, "quote_quantity"),
        ({"type": "limit", "price": "90", "quantity": "1", "time_in_force": "gtd"}, "expire_at"),
        ({"type": "limit", "price": "90", "quantity": "1", "expire_at": FAR_AWAY}, "expire_at"),
    ]
    async with market(exchange) as symbol, RestClient(exchange.rest[0], exchange.accounts["alice"]) as alice:
        for body, field in bad:
            with pytest.raises(RequestRefused) as refused:
                await alice.call("POST", "/v1/orders", {"symbol": symbol, "side": "buy"} | body)
            assert (refused.value.code, refused.value.problem["field"]) == ("invalid_request", field), body
        ended = {"type": "limit", "price": "90", "quantity": "1", "time_in_force": "gtd"}
        ended["expire_at"] = "2020-01-01T00:00:00Z"
        with pytest.raises(RequestRefused) as past:
            await alice.call("POST", "/v1/orders", {"symbol": symbol, "side": "buy"} | ended)
        assert past.value.problem["actual"] == "2020-01-01T00:00:00.000000Z"
