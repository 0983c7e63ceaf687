"""Market buys that spend a sum of money: what it buys with its fees, how they end, and what is refused up front."""

from typing import Any

import msgspec
import pytest

from app.domain.commands import PlaceOrder
from app.domain.enums import SelfTradePrevention, Side
from app.domain.events import OrderCanceled, OrderEvent, TradePrevented
from app.engine import matching
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    FOK,
    PERCENT,
    QUOTE,
    accepted,
    all_of,
    asks,
    available,
    buy,
    engine_with,
    held,
    only,
    placed,
    refused,
    sell,
)


def spend(money: int, account_id: int = ALICE, **terms: Any) -> PlaceOrder:
    return buy(account_id, quantity=0, **({"quote_quantity": money} | terms))


def statuses(events: list[Any]) -> list[str]:
    return [event.order.status for event in all_of(OrderEvent, events) if event.order.terms.quote_quantity is not None]


def test_it_buys_as_many_lots_as_the_money_pays_with_their_fee_and_gives_the_rest_back() -> None:
    engine = engine_with([sell(quantity=10, price=100)], {ALICE: {QUOTE: 500}, BOB: {BASE: 10}}, taker_fee=PERCENT)
    state = placed(engine, spend(450))
    # Four lots cost 400 and a fee of 4; a fifth would cost 505 in all.
    assert (state.status, state.quantity, state.filled_quantity, state.notional, state.fees) == ("filled", 4, 4, 400, 4)
    assert (available(engine, ALICE, QUOTE), held(engine, ALICE, QUOTE)) == (96, 0)


@pytest.mark.parametrize(("money", "lots"), [(201, 1), (202, 2), (203, 2), (302, 2), (303, 3)])
def test_the_fee_is_rounded_up_over_the_whole_order(money: int, lots: int) -> None:
    engine = engine_with([sell(quantity=1, price=100) for _ in range(5)], taker_fee=PERCENT)
    assert placed(engine, spend(money)).filled_quantity == lots


def test_it_holds_the_money_and_no_more() -> None:
    engine = engine_with(
        [sell(quantity=5, price=100)], {ALICE: {QUOTE: 450}, BOB: {BASE: 10}}, max_slippage=50 * PERCENT
    )
    assert placed(engine, spend(450)).filled_quantity == 4
    engine = engine_with([sell(quantity=5, price=100)], {ALICE: {QUOTE: 449}, BOB: {BASE: 10}})
    rejection = refused(engine, spend(450))
    assert (rejection.reason, rejection.limit, rejection.actual) == ("insufficient_balance", "449", "450")


def test_quantity_is_always_what_is_filled_and_the_last_print_says_filled() -> None:
    engine = engine_with([sell(quantity=2, price=100), sell(quantity=5, price=101)])
    events = accepted(engine, spend(410))
    assert statuses(events) == ["open", "partially_filled", "filled"]
    assert [event.order.quantity for event in all_of(OrderEvent, events) if event.order.order_id == 3] == [0, 2, 4]


def test_money_that_buys_no_lot_at_the_next_price_ends_it_with_the_print_before() -> None:
    engine = engine_with([sell(quantity=2, price=100), sell(quantity=5, price=105)])
    assert statuses(accepted(engine, spend(304))) == ["open", "filled"]
    assert asks(engine) == [(105, 5)]


def test_an_iceberg_that_still_has_lots_is_the_next_price() -> None:
    engine = engine_with([sell(quantity=9, price=100, display_quantity=2), sell(quantity=5, price=105)])
    assert statuses(accepted(engine, spend(499))) == ["open", "partially_filled", "filled"]


@pytest.mark.parametrize(("second", "reason"), [(None, "no_liquidity"), (111, "slippage_cap")])
def test_money_left_when_nothing_more_is_reachable_is_canceled(second: int | None, reason: str) -> None:
    engine = engine_with([sell(quantity=2, price=100)], max_slippage=10 * PERCENT)
    if second is not None:
        placed(engine, sell(quantity=5, price=second))
    events = accepted(engine, spend(1_000))
    assert statuses(events) == ["open", "partially_filled", "canceled"]
    ended = only(OrderCanceled, events).order
    assert (ended.reason, ended.quantity, ended.remaining_quantity) == (reason, 2, 0)
    assert held(engine, ALICE, QUOTE) == 0


def test_nothing_left_is_filled_even_without_liquidity() -> None:
    engine = engine_with([sell(quantity=2, price=100)])
    assert statuses(accepted(engine, spend(200))) == ["open", "filled"]


def test_too_little_for_one_lot_is_refused_up_front() -> None:
    engine = engine_with([sell(quantity=2, price=100)], taker_fee=PERCENT)
    rejection = refused(engine, spend(100))
    assert (rejection.reason, rejection.field, rejection.limit, rejection.actual, rejection.unit) == (
        "quantity_out_of_range", "quote_quantity", "101", "100", QUOTE,
    )  # fmt: skip
    assert placed(engine, spend(101)).filled_quantity == 1


@pytest.mark.parametrize(
    ("money", "filters", "limit"),
    [
        (0, {}, 2**63 - 1),
        (2**63, {}, 2**63 - 1),
        (299, {"min_notional": 300}, 300),
        (401, {"max_notional": 400}, 400),
    ],
)
def test_money_outside_the_range_is_refused(money: int, filters: dict[str, Any], limit: int) -> None:
    rejection = refused(engine_with([sell(quantity=4, price=100)], **filters), spend(money))
    assert (rejection.reason, rejection.field, rejection.limit) == (
        "notional_out_of_range",
        "quote_quantity",
        str(limit),
    )


def test_an_empty_book_is_refused() -> None:
    assert refused(engine_with(), spend(100)).reason == "no_liquidity"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"quantity": 1}, "quantity"),
        ({"time_in_force": FOK}, "quote_quantity"),
        ({"side": Side.SELL}, "quote_quantity"),
        ({"stp": SelfTradePrevention.DECREMENT}, "stp"),
        ({"reduce_only": True}, "reduce_only"),
    ],
)
def test_what_cannot_spend_money_is_refused(change: dict[str, Any], field: str) -> None:
    engine = engine_with([sell(quantity=4, price=100)])
    rejection = refused(engine, msgspec.structs.replace(spend(100), **change))
    assert (rejection.reason, rejection.field) == ("invalid_request", field)


def test_a_limit_order_spends_no_money() -> None:
    command = buy(ALICE, quantity=0, price=100, quote_quantity=100)
    assert refused(engine_with([sell(quantity=4, price=100)]), command).field == "quote_quantity"


@pytest.mark.parametrize(
    ("stp", "expected"), [("cancel_newest", ["open", "canceled"]), ("cancel_oldest", ["open", "filled"])]
)
def test_it_does_not_buy_from_its_own_account(stp: str, expected: list[str]) -> None:
    engine = engine_with([sell(ALICE, quantity=9, price=100), sell(BOB, quantity=9, price=101)])
    events = accepted(engine, spend(350, stp=SelfTradePrevention(stp)))
    assert only(TradePrevented, events).quantity == 3
    assert statuses(events) == expected


def test_own_orders_gone_and_the_next_price_too_dear_end_it_with_a_cancel() -> None:
    engine = engine_with([sell(ALICE, quantity=9, price=100), sell(BOB, quantity=9, price=105)])
    events = accepted(engine, spend(102, stp=SelfTradePrevention.CANCEL_OLDEST))
    assert statuses(events) == ["open", "canceled"]


def test_it_meets_a_bounded_number_of_resting_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "COMMAND_ORDER_OPERATIONS_MAX", 3)
    engine = engine_with([sell(CAROL, quantity=1, price=100) for _ in range(5)])
    state = placed(engine, spend(500))
    assert (state.status, state.reason, state.filled_quantity) == ("canceled", "sweep_limit", 3)
