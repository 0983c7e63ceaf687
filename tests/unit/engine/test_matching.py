"""Who trades with whom, at what price, and what keeps an account from trading with itself."""

from collections.abc import Sequence

import pytest

from app.domain.enums import OrderReason, OrderStatus, SelfTradePrevention, Side
from app.domain.events import (
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderEvent,
    OrderFilled,
    OrderPartiallyFilled,
    TradeExecuted,
    TradePrevented,
)
from app.engine import matching
from tests.unit.engine.builders import (
    ALICE,
    BOB,
    CAROL,
    FOK,
    IOC,
    accepted,
    all_of,
    asks,
    bids,
    buy,
    engine_with,
    only,
    order,
    placed,
    reason_of,
    sell,
)

NEWEST, OLDEST = SelfTradePrevention.CANCEL_NEWEST, SelfTradePrevention.CANCEL_OLDEST
BOTH, DECREMENT = SelfTradePrevention.CANCEL_BOTH, SelfTradePrevention.DECREMENT


def trades(events: Sequence[object]) -> list[tuple[int, int, int]]:
    """Return maker order, price and quantity of each trade."""
    return [(event.maker_order_id, event.price, event.quantity) for event in all_of(TradeExecuted, events)]


# ---- price-time priority -----------------------------------------------------------------------


def test_better_price_trades_before_older_order() -> None:
    engine = engine_with(
        resting=[sell(quantity=1, price=102), sell(quantity=1, price=101), sell(quantity=1, price=103)]
    )
    events = accepted(engine, buy(ALICE, quantity=3, price=103))
    assert trades(events) == [(2, 101, 1), (1, 102, 1), (3, 103, 1)]


def test_older_order_trades_first_at_one_price() -> None:
    engine = engine_with(resting=[buy(quantity=2, price=100), buy(CAROL, quantity=2, price=100)])
    events = accepted(engine, sell(ALICE, quantity=3, price=100))
    assert trades(events) == [(1, 100, 2), (2, 100, 1)]


def test_trade_happens_at_the_makers_price() -> None:
    engine = engine_with(resting=[sell(quantity=1, price=90)])
    trade = only(TradeExecuted, accepted(engine, buy(ALICE, quantity=1, price=100)))
    assert (trade.price, trade.taker_side, trade.maker_account_id, trade.taker_account_id) == (90, Side.BUY, BOB, ALICE)


def test_partly_filled_maker_keeps_its_place() -> None:
    engine = engine_with(resting=[sell(quantity=5, price=100), sell(CAROL, quantity=5, price=100)])
    accepted(engine, buy(ALICE, quantity=2, price=100))
    events = accepted(engine, buy(ALICE, quantity=4, price=100))
    assert trades(events) == [(1, 100, 3), (2, 100, 1)]


def test_order_trades_no_further_than_its_limit_and_rests_there() -> None:
    engine = engine_with(resting=[sell(quantity=1, price=100), sell(quantity=1, price=102)])
    taker = placed(engine, buy(ALICE, quantity=3, price=101))
    assert (taker.status, taker.filled_quantity, taker.remaining_quantity) == (OrderStatus.PARTIALLY_FILLED, 1, 2)
    assert (bids(engine), asks(engine)) == ([(101, 2)], [(102, 1)])


def test_events_of_a_trade_are_the_trade_then_maker_then_taker() -> None:
    engine = engine_with(resting=[sell(quantity=2, price=100)])
    events = accepted(engine, buy(ALICE, quantity=1, price=100))
    assert [type(event) for event in events[:4]] == [OrderAccepted, TradeExecuted, OrderPartiallyFilled, OrderFilled]


def test_trade_ids_are_contiguous_per_instrument() -> None:
    engine = engine_with(resting=[sell(quantity=1, price=100) for _ in range(3)])
    first = accepted(engine, buy(ALICE, quantity=2, price=100))
    second = accepted(engine, buy(ALICE, quantity=1, price=100))
    assert [trade.trade_id for trade in all_of(TradeExecuted, [*first, *second])] == [1, 2, 3]


def test_version_rises_by_one_with_each_event_of_an_order() -> None:
    engine = engine_with(resting=[sell(quantity=1, price=100), sell(quantity=1, price=100)])
    events = accepted(engine, buy(ALICE, quantity=3, price=100, time_in_force=IOC))
    versions = [event.order.version for event in all_of(OrderEvent, events) if event.account_id == ALICE]
    assert versions == [1, 2, 3, 4]


# ---- fill or kill ------------------------------------------------------------------------------


def test_fok_of_exactly_what_is_there_fills() -> None:
    engine = engine_with(resting=[sell(quantity=2, price=100), sell(quantity=3, price=101)])
    taker = placed(engine, buy(ALICE, quantity=5, price=101, time_in_force=FOK))
    assert (taker.status, taker.filled_quantity) == (OrderStatus.FILLED, 5)


@pytest.mark.parametrize(("quantity", "price"), [(6, 101), (3, 100), (1, 99)])
def test_fok_that_cannot_be_filled_whole_leaves_no_trace(quantity: int, price: int) -> None:
    engine = engine_with(resting=[sell(quantity=2, price=100), sell(quantity=3, price=101)])
    assert reason_of(engine, buy(ALICE, quantity=quantity, price=price, time_in_force=FOK)) == "fok_not_fillable"
    assert asks(engine) == [(100, 2), (101, 3)]
    assert engine.seal().books == []
    assert placed(engine, buy(ALICE, quantity=1, price=1)).order_id == 3


@pytest.mark.parametrize("mode", list(SelfTradePrevention))
def test_fok_that_meets_an_own_order_before_it_is_full_is_refused_whatever_its_mode(mode: SelfTradePrevention) -> None:
    engine = engine_with(
        resting=[sell(quantity=2, price=100), sell(ALICE, quantity=1, price=100), sell(quantity=9, price=101)]
    )
    command = buy(ALICE, quantity=3, price=101, time_in_force=FOK, stp=mode)
    assert reason_of(engine, command) == "fok_not_fillable"
    assert asks(engine) == [(100, 3), (101, 9)]


def test_fok_that_is_full_before_it_meets_its_own_order_fills() -> None:
    engine = engine_with(resting=[sell(quantity=2, price=100), sell(ALICE, quantity=1, price=100)])
    assert placed(engine, buy(ALICE, quantity=2, price=100, time_in_force=FOK)).status is OrderStatus.FILLED


def test_fok_beyond_the_sweep_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "COMMAND_ORDER_OPERATIONS_MAX", 3)
    engine = engine_with(resting=[sell(quantity=1, price=100) for _ in range(4)])
    assert reason_of(engine, buy(ALICE, quantity=4, price=100, time_in_force=FOK)) == "fok_not_fillable"
    assert placed(engine, buy(ALICE, quantity=3, price=100, time_in_force=FOK)).status is OrderStatus.FILLED


# ---- sweep limit -------------------------------------------------------------------------------


def test_sweep_ends_at_the_limit_and_the_rest_is_canceled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "COMMAND_ORDER_OPERATIONS_MAX", 3)
    engine = engine_with(resting=[sell(quantity=1, price=100) for _ in range(5)])
    taker = placed(engine, buy(ALICE, quantity=5, price=100))
    assert (taker.status, taker.reason, taker.filled_quantity) == (OrderStatus.CANCELED, OrderReason.SWEEP_LIMIT, 3)
    assert (bids(engine), asks(engine)) == ([], [(100, 2)])


def test_sweep_of_exactly_the_limit_goes_on_to_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "COMMAND_ORDER_OPERATIONS_MAX", 3)
    engine = engine_with(resting=[sell(quantity=1, price=100) for _ in range(3)])
    taker = placed(engine, buy(ALICE, quantity=5, price=100))
    assert (taker.status, taker.reason) == (OrderStatus.PARTIALLY_FILLED, None)
    assert bids(engine) == [(100, 2)]


# ---- self-trade prevention ---------------------------------------------------------------------


def test_cancel_newest_ends_the_taker_after_what_it_traded_with_others() -> None:
    engine = engine_with(resting=[sell(quantity=1, price=99), sell(ALICE, quantity=5, price=100)])
    events = accepted(engine, buy(ALICE, quantity=3, price=100, stp=NEWEST))
    canceled = only(OrderCanceled, events).order
    assert (canceled.order_id, canceled.reason, canceled.filled_quantity) == (3, OrderReason.SELF_TRADE, 1)
    assert asks(engine) == [(100, 5)]


def test_cancel_oldest_ends_each_own_maker_and_trades_on() -> None:
    engine = engine_with(resting=[sell(ALICE, quantity=5, price=99), sell(quantity=4, price=100)])
    events = accepted(engine, buy(ALICE, quantity=3, price=100, stp=OLDEST))
    canceled = only(OrderCanceled, events).order
    assert (canceled.order_id, canceled.reason) == (1, OrderReason.SELF_TRADE)
    assert trades(events) == [(2, 100, 3)]
    assert asks(engine) == [(100, 1)]


def test_cancel_both_ends_both() -> None:
    engine = engine_with(resting=[sell(ALICE, quantity=5, price=100)])
    events = accepted(engine, buy(ALICE, quantity=3, price=100, stp=BOTH))
    assert [event.order.order_id for event in all_of(OrderCanceled, events)] == [1, 2]
    assert (bids(engine), asks(engine)) == ([], [])


def test_decrement_lowers_both_by_the_smaller_and_cancels_what_reaches_zero() -> None:
    engine = engine_with(resting=[sell(ALICE, quantity=5, price=100)])
    events = accepted(engine, buy(ALICE, quantity=3, price=100, stp=DECREMENT))
    amended, canceled = only(OrderAmended, events).order, only(OrderCanceled, events).order
    assert (amended.order_id, amended.quantity, amended.reason) == (1, 2, OrderReason.SELF_TRADE)
    assert (canceled.order_id, canceled.quantity, canceled.reason) == (2, 3, OrderReason.SELF_TRADE)
    assert asks(engine) == [(100, 2)]


def test_decremented_taker_trades_on_with_what_is_left() -> None:
    engine = engine_with(resting=[sell(ALICE, quantity=2, price=100), sell(quantity=9, price=100)])
    events = accepted(engine, buy(ALICE, quantity=5, price=100, stp=DECREMENT))
    assert trades(events) == [(2, 100, 3)]
    taker = order(engine, 3).state
    assert (taker.status, taker.quantity, taker.filled_quantity) == (OrderStatus.FILLED, 3, 3)


def test_decrement_of_equals_cancels_both() -> None:
    engine = engine_with(resting=[sell(ALICE, quantity=3, price=100)])
    events = accepted(engine, buy(ALICE, quantity=3, price=100, stp=DECREMENT))
    assert [event.order.order_id for event in all_of(OrderCanceled, events)] == [1, 2]


def test_decrement_of_a_partly_filled_maker_takes_only_what_is_open() -> None:
    engine = engine_with(resting=[sell(ALICE, quantity=5, price=100)])
    accepted(engine, buy(CAROL, quantity=2, price=100))
    accepted(engine, buy(ALICE, quantity=1, price=100, stp=DECREMENT))
    maker = order(engine, 1).state
    assert (maker.quantity, maker.filled_quantity, maker.status) == (4, 2, OrderStatus.PARTIALLY_FILLED)


@pytest.mark.parametrize("mode", list(SelfTradePrevention))
def test_prevented_match_is_stated_with_mode_price_and_quantity_and_is_no_trade(mode: SelfTradePrevention) -> None:
    engine = engine_with(resting=[sell(ALICE, quantity=5, price=100, stp=NEWEST)])
    events = accepted(engine, buy(ALICE, quantity=3, price=101, stp=mode))
    prevented = only(TradePrevented, events)
    assert (prevented.taker_order_id, prevented.maker_order_id) == (2, 1)
    assert (prevented.price, prevented.quantity, prevented.mode) == (100, 3, mode)
    assert all_of(TradeExecuted, events) == []


def test_reason_of_a_decrement_does_not_stick_to_later_events() -> None:
    engine = engine_with(resting=[sell(ALICE, quantity=5, price=100)])
    accepted(engine, buy(ALICE, quantity=1, price=100, stp=DECREMENT))
    assert order(engine, 1).state.reason is OrderReason.SELF_TRADE
    events = accepted(engine, buy(CAROL, quantity=1, price=100))
    maker = only(OrderPartiallyFilled, events).order
    assert (maker.order_id, maker.reason) == (1, None)


# ---- memory ------------------------------------------------------------------------------------


def test_oldest_closed_orders_are_forgotten_beyond_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "CLOSED_ORDERS_MAX", 2)
    engine = engine_with()
    for name in ("a", "b", "c"):
        accepted(engine, buy(ALICE, quantity=1, price=1, time_in_force=IOC, client_order_id=name))
    assert sorted(engine.state.orders) == [2, 3]
    assert sorted(engine.state.accounts[ALICE].client_ids) == ["b", "c"]
