"""Limits, tiers, groups, fee tiers, phases and transfers through the public API, as the engine carries them out."""

import itertools
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.dev.client import RequestRefused, RestClient
from app.dev.credentials import Credentials
from tests.exchange import Exchange
from tests.listed_market import limit, market

_names = itertools.count(1)


@asynccontextmanager
async def client_of_its_own(
    exchange: Exchange, admin: RestClient, **funds: str
) -> AsyncIterator[tuple[str, RestClient]]:
    """Open a funded account of the test's own; yields its id and a client with its key."""
    name = f"administered-{next(_names)}"
    account_id = (await admin.call("POST", "/v1/admin/accounts", {"name": name}))["account_id"]
    for asset, amount in funds.items():
        body = {"asset": asset, "amount": amount, "transfer_id": "first"}
        await admin.call("POST", f"/v1/admin/accounts/{account_id}/deposits", body)
    grant = {"name": name, "scopes": ["read", "trade", "transfer"]}
    key = await admin.call("POST", f"/v1/admin/accounts/{account_id}/api-keys", grant)
    async with RestClient(exchange.rest[1], Credentials(account_id, key["key"], key["secret"])) as rest:
        yield account_id, rest


async def refusal(call: Awaitable[Any]) -> tuple[Any, ...]:
    """Return code, field, limit and actual value of a refused call."""
    with pytest.raises(RequestRefused) as refused:
        await call
    return tuple([refused.value.problem.get(name) for name in ("code", "field", "limit", "actual")])


async def test_the_tightest_of_exchange_tier_and_account_limits_holds(exchange: Exchange) -> None:
    async with (
        market(exchange) as symbol,
        RestClient(exchange.rest[0], exchange.accounts["admin"]) as admin,
        client_of_its_own(exchange, admin, USD="1000000") as (account_id, rest),
    ):
        tier = f"tier-{symbol}"
        # 1,000 USD in units of 1e-10.
        changed = await admin.call("PATCH", "/v1/admin/limits", {"tier": tier, "order_notional": "1" + "0" * 13})
        assert changed["limits"] == {"order_notional": "1" + "0" * 13}
        account = f"/v1/admin/accounts/{account_id}"
        await admin.call("PATCH", account, {"tier": tier, "limits": {"symbol_open_orders": 1}})

        async def place(quantity: str) -> dict[str, Any]:
            return await rest.call("POST", "/v1/orders", limit(symbol, "buy", "100", quantity))

        seen = await admin.call("GET", f"/v1/admin/limits?tier={tier}&min_seq={changed['engine_seq']}")
        assert (seen["limits"]["order_notional"], seen["limits"]["open_orders"]) == ("1" + "0" * 13, None)
        assert (await refusal(admin.call("GET", "/v1/admin/limits?tier=nowhere")))[:2] == ("not_found", "tier")
        assert await refusal(place("10.001")) == ("order_notional_limit", None, "1000", "1000.1")
        assert (await place("10"))["status"] == "open"
        held = {entry["limit"]: entry for entry in (await rest.call("GET", "/v1/limits"))["data"]}
        assert held["order_notional"] == {
            "limit": "order_notional",
            "level": "tier",
            "asset": "USD",
            "value": "1000",
            "used": None,
            "headroom": None,
        }
        ratio = {"order_trade_ratio": 10, "daily_notional": "2" + "0" * 13, "message_rate": 1_000}
        changed = await admin.call("PATCH", account, {"limits": ratio})
        asked = await rest.call("GET", f"/v1/limits?min_seq={changed['engine_seq']}")
        assert asked["as_of_seq"] >= changed["engine_seq"]
        uses = {entry["limit"]: (entry["level"], entry["used"], entry["headroom"]) for entry in asked["data"]}
        assert uses["daily_notional"] == ("account", "1000", "1000")
        assert uses["order_trade_ratio"] == ("account", "0", "10")
        assert uses["message_rate"][1] in ("0", "1")
        await admin.call("PATCH", account, {"limits": dict.fromkeys(ratio)})
        one = held["symbol_open_orders"]
        assert (one["level"], one["value"], one["used"], one["headroom"]) == ("account", "1", "1", "0")
        assert await refusal(place("1")) == ("open_order_limit", None, "1", "2")
        await admin.call("PATCH", account, {"tier": None, "limits": {"symbol_open_orders": None}})
        assert (await place("20"))["status"] == "open"
        await rest.call("DELETE", f"/v1/orders?symbol={symbol}")


async def test_restricted_frozen_and_reduce_only_accounts_are_held_to_it(exchange: Exchange) -> None:
    async with (
        market(exchange) as symbol,
        RestClient(exchange.rest[0], exchange.accounts["admin"]) as admin,
        client_of_its_own(exchange, admin, USD="1000000") as (account_id, rest),
    ):
        account, order = f"/v1/admin/accounts/{account_id}", limit(symbol, "buy", "100", "1")
        for change, expected in (
            ({"restricted": [symbol]}, ("restricted_symbol", "symbol", None, None)),
            ({"restricted": [], "status": "frozen"}, ("account_frozen", None, None, None)),
            ({"status": "reduce_only"}, ("reduce_only_would_increase", None, "0", "1")),
        ):
            await admin.call("PATCH", account, change)
            assert await refusal(rest.call("POST", "/v1/orders", order)) == expected
        changed = await admin.call("PATCH", account, {"restricted": [symbol], "stp_group": 7})
        shown = await admin.call("GET", f"{account}?min_seq={changed['engine_seq']}")
        assert (shown["status"], shown["restricted"], shown["stp_group"]) == ("reduce_only", [symbol], 7)
        own = await rest.call("GET", f"/v1/account?min_seq={changed['engine_seq']}")
        assert (own["status"], own["restricted"], own["killed"]) == ("reduce_only", [symbol], False)
        await admin.call("PATCH", account, {"status": "active", "restricted": []})
        assert (await rest.call("POST", "/v1/orders", order))["status"] == "open"
        assert await refusal(admin.call("PATCH", account, {"tier": "nowhere"})) == (
            "invalid_request",
            "tier",
            None,
            None,
        )
        await rest.call("DELETE", f"/v1/orders?symbol={symbol}")


async def test_money_moves_once_however_often_it_is_asked(exchange: Exchange) -> None:
    async with (
        RestClient(exchange.rest[0], exchange.accounts["admin"]) as admin,
        client_of_its_own(exchange, admin, USD="100") as (_, sender),
        client_of_its_own(exchange, admin) as (receiver_id, receiver),
    ):
        move = {"to_account_id": receiver_id, "asset": "USD", "amount": "40.5", "transfer_id": "t1"}
        answers = [await sender.call("POST", "/v1/transfers", move) for _ in range(3)]
        assert [answer["duplicate"] for answer in answers] == [False, True, True]
        out = {"asset": "USD", "amount": "10", "transfer_id": "t2"}
        assert [(await sender.call("POST", "/v1/withdrawals", out))["duplicate"] for _ in range(2)] == [False, True]
        assert (await sender.call("GET", "/v1/balances"))["data"] == [
            {"asset": "USD", "available": "49.5", "held": "0"}
        ]
        got = await receiver.call("GET", f"/v1/balances?min_seq={answers[0]['engine_seq']}")
        assert got["data"] == [{"asset": "USD", "available": "40.5", "held": "0"}]
        too_much = sender.call("POST", "/v1/transfers", move | {"amount": "50", "transfer_id": "t3"})
        assert await refusal(too_much) == ("insufficient_balance", "amount", "49.5", "50")
        other = sender.call("POST", "/v1/transfers", move | {"amount": "41"})
        assert (await refusal(other))[:2] == ("transfer_id_reused", "transfer_id")


async def test_an_external_price_makes_a_mark_price_and_fee_tiers_are_taken_whole(exchange: Exchange) -> None:
    async with (
        market(exchange, maker_fee="0.001", taker_fee="0.002") as symbol,
        RestClient(exchange.rest[0], exchange.accounts["admin"]) as admin,
    ):
        taken = await admin.call("POST", f"/v1/admin/instruments/{symbol}/reference", {"price": "107.50"})
        assert taken["price"] == "107.5"
        tiers = [{"volume": "0", "maker_fee": "0", "taker_fee": "0"}]
        assert (await admin.call("POST", "/v1/admin/fee-tiers", {"asset": "USD", "tiers": tiers}))["tiers"] == tiers
        rising = [tiers[0], tiers[0]]
        refused = await refusal(admin.call("POST", "/v1/admin/fee-tiers", {"asset": "USD", "tiers": rising}))
        assert refused == ("invalid_request", "tiers", None, None)
        tiers.append({"volume": "50000.5", "maker_fee": "-0.0001", "taker_fee": "0.0001"})
        seq = (await admin.call("POST", "/v1/admin/fee-tiers", {"asset": "USD", "tiers": tiers}))["engine_seq"]
        answer = await admin.call("GET", f"/v1/fees?min_seq={seq}")
        assert answer["as_of_seq"] >= seq
        assert next(row for row in answer["data"] if row["symbol"] == symbol) == {
            "symbol": symbol,
            "maker_fee": "0",
            "taker_fee": "0",
            "asset": "USD",
            "volume_30d": "0",
            "volume_today": "0",
            "tier": 1,
            "next_tier": {"tier": 2, "missing": "50000.5"} | tiers[1],
        }
        await admin.call("POST", "/v1/admin/fee-tiers", {"asset": "USD", "tiers": []})


async def test_breaker_and_auction_of_an_instrument_are_set_shown_and_refused_by_field(exchange: Exchange) -> None:
    breaker = {"breaker_move": "0.05", "breaker_window_ms": 60_000, "breaker_halt_ms": 1_000, "auction_ms": 500}
    async with (
        market(exchange, **breaker, session_close_ms=3_600_000) as symbol,
        RestClient(exchange.rest[0], exchange.accounts["admin"]) as admin,
    ):
        shown = await admin.call("GET", f"/v1/instruments/{symbol}")
        assert {name: shown[name] for name in breaker} == breaker
        path = f"/v1/admin/instruments/{symbol}"
        partly = {"filters": {"breaker_window_ms": None}}
        assert (await refusal(admin.call("PATCH", path, partly)))[:2] == ("invalid_request", "breaker_window_ms")
        none = {"breaker_move": None, "breaker_window_ms": None, "breaker_halt_ms": None}
        changed = await admin.call("PATCH", path, {"filters": none | {"auction_ms": 0}, "order_types": ["limit"]})
        assert (changed["breaker_move"], changed["auction_ms"], changed["order_types"]) == (None, 0, ["limit"])
