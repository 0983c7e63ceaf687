"""Private and public lists over real tables: whole, in order, the account's own, and true at a sequence."""

import asyncio
from typing import Any

import httpx2
import msgspec
import pytest
from sqlalchemy import event, text

from app.api import reads
from app.api.account_events import AccountEventShape
from app.domain.decimals import format_steps
from app.domain.identity import Principal
from app.protocol.messages import PrivateEvent
from tests.integration.api.conftest import Market
from tests.market_stream import SYMBOLS, instrument
from tests.unit.api.stack import ADMIN, ALICE, problem

EMPTY = msgspec.structs.replace(ALICE, account_id=9999)
BOB = msgspec.structs.replace(ALICE, account_id=1002)


async def get(market: Market, path: str, principal: Principal = ALICE) -> httpx2.Response:
    return await market.stack.client.get(path, headers=market.stack.bearer(principal))


async def pages(market: Market, path: str) -> list[dict[str, Any]]:
    """Return all items of a list, following its links."""
    items: list[dict[str, Any]] = []
    while True:
        response = await get(market, path)
        assert response.status_code == 200, response.text
        page = response.json()
        assert page["as_of_seq"] == market.stream.sequence
        items += page["data"]
        if page["next_cursor"] is None:
            assert "link" not in response.headers
            return items
        assert len(page["data"]) == 3
        path = response.headers["link"].removeprefix("<").removesuffix('>; rel="next"')
        assert page["next_cursor"] in path


async def test_orders_are_listed_whole_newest_first(market: Market) -> None:
    await market.project_the_rest()
    expected = [state for state in market.stream.orders.values() if state.terms.account_id == 1001][::-1]
    listed = await pages(market, "/v1/orders?limit=3")
    assert [order["order_id"] for order in listed] == [str(state.order_id) for state in expected]
    assert [order["status"] for order in listed] == [state.status for state in expected]
    assert [order["version"] for order in listed] == [state.version for state in expected]


async def test_filters_narrow_the_list(market: Market) -> None:
    await market.project_the_rest()
    everything = await pages(market, "/v1/orders?limit=3")
    for name, value in (("symbol", SYMBOLS[0]), ("side", "sell"), ("status", "canceled")):
        listed = await pages(market, f"/v1/orders?limit=3&{name}={value}")
        assert listed == [order for order in everything if order[name] == value]
        assert 0 < len(listed) < len(everything)
    middle = everything[len(everything) // 2]["created_at"]
    newer = await pages(market, f"/v1/orders?limit=3&since={middle}")
    older = await pages(market, f"/v1/orders?limit=3&until={middle}")
    assert newer + older == everything
    assert newer[-1]["created_at"] == middle


async def test_order_is_found_by_both_ids_and_only_by_its_account(market: Market) -> None:
    await market.project_the_rest()
    orders = list(market.stream.orders.values())
    own = next(state for state in orders if state.terms.account_id == 1001 and state.terms.client_order_id)
    for path in (f"/v1/orders/{own.order_id}", f"/v1/orders/by-client-id/{own.terms.client_order_id}"):
        found = await get(market, path)
        assert (found.status_code, found.json()["order_id"]) == (200, str(own.order_id))
        assert found.json()["as_of_seq"] == market.stream.sequence
        foreign, unknown = await get(market, path, BOB), await get(market, "/v1/orders/999999999", BOB)
        assert problem(foreign).code == problem(unknown).code == "unknown_order"
        assert problem(foreign).detail == problem(unknown).detail


async def test_fills_are_listed_whole_newest_first(market: Market) -> None:
    await market.project_the_rest()
    expected = market.stream.fills[1001][::-1]
    listed = await pages(market, "/v1/fills?limit=3")
    assert [(fill["account_seq"], fill["order_id"]) for fill in listed] == [
        (fill.account_seq, str(order_id)) for fill, order_id, _ in expected
    ]
    assert {fill["fee_asset"] for fill in listed} == {"USD"}
    order_id = listed[0]["order_id"]
    of_order = await pages(market, f"/v1/fills?limit=3&order_id={order_id}")
    assert of_order == [fill for fill in listed if fill["order_id"] == order_id]


async def test_trades_are_contiguous_in_both_directions(market: Market) -> None:
    await market.project_the_rest()
    ids = [str(trade.trade_id) for trade in market.stream.trades[SYMBOLS[0]]]
    newest_first = await pages(market, f"/v1/trades/{SYMBOLS[0]}?limit=3")
    assert [trade["trade_id"] for trade in newest_first] == ids[::-1]
    oldest_first = await pages(market, f"/v1/trades/{SYMBOLS[0]}?limit=3&after_id=0")
    assert [trade["trade_id"] for trade in oldest_first] == ids
    backfill = await pages(market, f"/v1/trades/{SYMBOLS[0]}?limit=3&after_id={ids[2]}")
    assert [trade["trade_id"] for trade in backfill] == ids[3:]
    assert "account_id" not in newest_first[0]


async def test_balances_are_decimal_text(market: Market) -> None:
    await market.project_the_rest()
    page = (await get(market, "/v1/balances")).json()
    shown = {balance["asset"]: balance for balance in page["data"]}
    for asset, (available, held) in market.stream.balances[1001].items():
        for name, units in (("available", available), ("held", held)):
            whole, _, fraction = shown[asset][name].partition(".")
            assert int(whole + fraction.ljust(8, "0")) == units
    assert set(shown) == set(market.stream.balances[1001])


async def test_account_is_the_credentials_own(market: Market) -> None:
    await market.project_the_rest()
    account = (await get(market, "/v1/account")).json()
    assert (account["account_id"], account["name"], account["status"]) == ("1001", "a1001", "active")
    assert account["account_seq"] == len(market.stream.events[1001])
    nobody = msgspec.structs.replace(ALICE, account_id=4711)
    assert problem(await get(market, "/v1/account", nobody)).code == "not_found"


async def test_read_waits_for_what_this_replica_acknowledged(market: Market) -> None:
    last = market.stream.sequence
    assert (await get(market, "/v1/orders")).json()["as_of_seq"] == market.projected_seq
    market.stack.entry.acknowledged = last
    reading = asyncio.create_task(get(market, "/v1/orders"))
    await asyncio.sleep(0.1)
    assert not reading.done()
    await market.project_the_rest()
    assert (await reading).json()["as_of_seq"] == last


async def test_explicit_min_seq_wins_over_what_was_acknowledged(market: Market) -> None:
    market.stack.entry.acknowledged = market.stream.sequence
    response = await get(market, f"/v1/orders?min_seq={market.projected_seq}")
    assert response.json()["as_of_seq"] == market.projected_seq


async def test_read_that_waits_too_long_says_so(market: Market) -> None:
    refused = problem(await get(market, f"/v1/balances?min_seq={market.stream.sequence}"))
    assert (refused.status, refused.code, refused.retryable) == (409, "not_caught_up", True)


async def test_reads_that_wait_share_their_questions_to_the_database(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "WAIT_SECONDS_MAX", 0.2)
    asked: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(market.stack.services.database.sync_engine, "before_cursor_execute", note)
    answers = await asyncio.gather(*(get(market, f"/v1/balances?min_seq={10**18}") for _ in range(50)))
    assert {problem(answer).code for answer in answers} == {"not_caught_up"}
    assert 0 < sum("projection_cursors" in statement for statement in asked) < len(answers)


async def test_read_says_so_when_the_tables_it_waited_for_are_made_anew(market: Market) -> None:
    moved = text("UPDATE projection_cursors SET last_seq = :sequence")
    await get(market, "/v1/balances")
    async with market.stack.services.database.begin() as connection:
        await connection.execute(moved, {"sequence": 0})
    target = f"/v1/balances?min_seq={market.projected_seq}"
    refused = problem(await get(market, target))
    assert (refused.code, refused.limit, refused.actual) == ("not_caught_up", str(market.projected_seq), "0")
    waiting = asyncio.create_task(get(market, target))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    async with market.stack.services.database.begin() as connection:
        await connection.execute(moved, {"sequence": market.projected_seq})
    assert (await waiting).status_code == 200


async def test_prices_are_shown_with_their_instruments_steps(market: Market) -> None:
    await market.project_the_rest()
    state = next(state for state in market.stream.orders.values() if state.terms.account_id == 1001)
    shown = (await get(market, f"/v1/orders/{state.order_id}")).json()
    tick = instrument(state.terms.symbol).tick
    whole, _, fraction = shown["price"].partition(".")
    assert int(whole + fraction.ljust(tick.scale, "0")) == state.price * tick.mantissa


async def test_key_for_a_new_account_waits_until_the_account_is_projected(market: Market) -> None:
    body = {"name": "bot", "scopes": ["read", "trade"]}
    headers = market.stack.bearer(ADMIN)
    made = await market.stack.client.post("/v1/admin/accounts/1003/api-keys", json=body, headers=headers)
    assert (made.status_code, made.json()["scopes"]) == (201, ["read", "trade"])
    unknown = await market.stack.client.post("/v1/admin/accounts/4711/api-keys", json=body, headers=headers)
    assert problem(unknown).code == "not_found"


async def test_events_are_listed_whole_oldest_first_and_chained(market: Market) -> None:
    await market.project_the_rest()
    expected = market.stream.events[1001]
    listed = await pages(market, "/v1/events?limit=3")
    assert [event["account_seq"] for event in listed] == list(range(1, len(expected) + 1))
    assert [event["event"] for event in listed] == [event.__struct_config__.tag for event in expected]
    for position in (0, 7, len(expected) - 1, len(expected)):
        page = (await get(market, f"/v1/events?after={position}&limit=1000")).json()
        assert page["data"][1:] == listed[position + 1 :]
        assert [event["prev_account_seq"] for event in page["data"]] == list(range(position, len(expected)))
        assert page["next_cursor"] is None


async def test_events_carry_the_members_of_their_stream_frames(market: Market) -> None:
    await market.project_the_rest()
    listed = (await get(market, "/v1/events?limit=1000")).json()["data"]
    members = {
        "order.accepted": {"order"},
        "order.filled": {"order", "fill"},
        "balance.changed": {"balance"},
        "position.changed": {"position"},
    }
    base = {"event", "account_seq", "prev_account_seq", "engine_seq", "ts"}
    for name, expected in members.items():
        found = next(event for event in listed if event["event"] == name)
        assert found.keys() == base | expected
    armed, fired = [event for event in listed if event["event"] == "cancel_after.set"][:2]
    assert (armed.keys(), armed["fired"]) == (base | {"trigger_at", "fired"}, False)
    assert (fired.keys(), fired["fired"]) == (base | {"fired"}, True)


def test_event_has_every_member_that_a_frame_may_have() -> None:
    assert set(AccountEventShape.__struct_fields__) == set(PrivateEvent.__struct_fields__) - {"channel"}


async def test_events_of_symbols_that_a_key_may_not_see_are_left_out_of_the_chain(market: Market) -> None:
    await market.project_the_rest()
    stack, target = market.stack, "/v1/events?limit=1000"
    key = await stack.key(symbols=[SYMBOLS[0]])
    listed = (await stack.client.get(target, headers=stack.signed(key, "GET", target))).json()["data"]
    assert 0 < len(listed) < len(market.stream.events[1001])
    assert SYMBOLS[1] not in str(listed)
    chain = [0, *(event["account_seq"] for event in listed)]
    assert [event["prev_account_seq"] for event in listed] == chain[:-1]


async def test_lists_leave_out_what_a_key_may_not_see(market: Market) -> None:
    await market.project_the_rest()
    stack = market.stack
    key = await stack.key(symbols=[SYMBOLS[0]])
    for path in ("/v1/orders", "/v1/fills", "/v1/positions"):
        whole = (await get(market, f"{path}?limit=1000" if path != "/v1/positions" else path)).json()["data"]
        seen: list[dict[str, Any]] = []
        target: str | None = f"{path}?limit=3" if path != "/v1/positions" else path
        while target is not None:
            answer = await stack.client.get(target, headers=stack.signed(key, "GET", target))
            seen += answer.json()["data"]
            target = answer.links["next"]["url"] if "next" in answer.links else None
        assert seen == [item for item in whole if item["symbol"] == SYMBOLS[0]]
        assert 0 < len(seen) < len(whole)
    for path in ("/v1/orders", "/v1/fills"):
        target = f"{path}?symbol={SYMBOLS[1]}"
        assert (await stack.client.get(target, headers=stack.signed(key, "GET", target))).json()["data"] == []


async def test_orders_that_a_key_may_not_see_are_unknown_to_it(market: Market) -> None:
    await market.project_the_rest()
    stack, states = market.stack, list(market.stream.orders.values())
    key = await stack.key(symbols=[SYMBOLS[0]])
    async with stack.services.database.begin() as connection:
        await connection.execute(text("UPDATE orders SET order_list_id = order_id"))
    for symbol, status in ((SYMBOLS[0], 200), (SYMBOLS[1], 404)):
        own = next(
            state
            for state in states
            if state.terms.account_id == 1001 and state.terms.client_order_id and state.terms.symbol == symbol
        )
        for target in (
            f"/v1/orders/{own.order_id}",
            f"/v1/orders/by-client-id/{own.terms.client_order_id}",
            f"/v1/order-lists/{own.order_id}",
        ):
            answer = await stack.client.get(target, headers=stack.signed(key, "GET", target))
            assert answer.status_code == status, target


async def test_positions_and_ledger_are_the_accounts_own_and_readable(market: Market) -> None:
    await market.project_the_rest()
    positions = (await get(market, "/v1/positions")).json()["data"]
    figures = market.stream.positions[1001]
    assert [position["symbol"] for position in positions] == sorted(figures)
    for position in positions:
        listed = instrument(position["symbol"])
        assert position["quantity"] == format_steps(figures[position["symbol"]][0], listed.lot)
        assert position["unrealized_pnl"] is None
    entries = await pages(market, "/v1/ledger?limit=3")
    fills = await pages(market, "/v1/fills?limit=3")
    assert [entry["ref"] for entry in entries if entry["cause"] == "trade"][::2] == [
        f"{fill['symbol']}:{fill['trade_id']}" for fill in fills
    ]
    narrowed = await pages(market, "/v1/ledger?limit=3&asset=USD")
    assert narrowed == [entry for entry in entries if entry["asset"] == "USD"]
    assert {entry["cause"] for entry in narrowed} == {"trade", "fee"}
    assert problem(await get(market, "/v1/ledger?asset=usd")).field == "asset"
    assert (await get(market, "/v1/positions", EMPTY)).json()["data"] == []
    assert (await get(market, "/v1/ledger", EMPTY)).json()["data"] == []
    assert (await get(market, "/v1/events", EMPTY)).json()["data"] == []


async def test_without_a_leader_limits_are_told_with_what_the_projections_know_of_their_use(market: Market) -> None:
    await market.project_the_rest()
    answer = (await get(market, "/v1/limits")).json()
    (held,) = answer["data"]
    open_orders = await pages(market, "/v1/orders?limit=1000&status=open")
    open_orders += await pages(market, "/v1/orders?limit=1000&status=partially_filled")
    assert (held["limit"], held["level"], held["value"]) == ("open_orders", "exchange", "5000")
    assert (held["used"], held["headroom"]) == (str(len(open_orders)), str(5_000 - len(open_orders)))
    assert answer["as_of_seq"] == market.stream.sequence
