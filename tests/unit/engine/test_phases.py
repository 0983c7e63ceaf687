"""What a volatility breaker stops, and how time takes an instrument back to trading."""

from typing import Any

import pytest

from app.domain.enums import InstrumentStatus, OrderStatus
from app.domain.events import InstrumentListed, OrderCanceled, TradeExecuted
from app.engine import invariants
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    FOK,
    IOC,
    NOON_NS,
    PERCENT,
    QUOTE,
    accepted,
    all_of,
    amend,
    asks,
    buy,
    cancel,
    engine_with,
    held,
    only,
    order,
    placed,
    reason_of,
    sell,
    tick_at,
    twin_of,
    update,
)

SECOND_NS = 1_000_000_000
HALT_NS = 30 * SECOND_NS
BREAKER: dict[str, Any] = {"breaker_move": 10 * PERCENT, "breaker_window_ns": 5 * SECOND_NS, "breaker_halt_ns": HALT_NS}


def traded_at_100(**instrument: Any) -> Engine:
    """Return an engine with a breaker of 10 % in 5 s whose last trade was at 100, at noon."""
    return engine_with([sell(ALICE, quantity=1, price=100), buy(quantity=1, price=100)], **BREAKER, **instrument)


def status_of(engine: Engine) -> InstrumentStatus:
    return engine.state.books["BTC-USD"].instrument.status


def test_print_beyond_the_move_is_not_made_the_rest_is_canceled_and_the_instrument_halts() -> None:
    engine = traded_at_100()
    engine.begin(NOON_NS + SECOND_NS)
    for price in (105, 110, 111):
        accepted(engine, sell(ALICE, quantity=1, price=price))
    events = accepted(engine, buy(quantity=5, price=200))
    assert [trade.price for trade in all_of(TradeExecuted, events)] == [105, 110]
    canceled = only(OrderCanceled, events).order
    assert (canceled.reason, canceled.filled_quantity, canceled.remaining_quantity) == ("circuit_breaker", 2, 3)
    halted = only(InstrumentListed, events).instrument
    assert halted.status is InstrumentStatus.HALTED
    assert events.index(only(OrderCanceled, events)) < events.index(only(InstrumentListed, events))
    assert held(engine, BOB, QUOTE) == 0
    assert asks(engine) == [(111, 1)]
    assert reason_of(engine, buy(quantity=1, price=100)) == "instrument_halted"
    assert engine.next_deadline == NOON_NS + SECOND_NS + HALT_NS
    invariants.check(engine.state)


def test_fall_halts_as_a_rise_does() -> None:
    engine = traded_at_100()
    accepted(engine, buy(ALICE, quantity=1, price=89))
    assert only(OrderCanceled, accepted(engine, sell(quantity=1))).order.reason == "circuit_breaker"
    assert status_of(engine) is InstrumentStatus.HALTED


def test_move_counts_from_the_price_of_a_window_ago_not_from_the_last_one() -> None:
    engine = traded_at_100()
    # By 9 % each, 6 s apart: never more than the move within the window.
    for number, price in enumerate((109, 118, 128), 1):
        engine.begin(NOON_NS + number * 6 * SECOND_NS)
        accepted(engine, sell(ALICE, quantity=1, price=price))
        assert placed(engine, buy(quantity=1, price=price)).status is OrderStatus.FILLED
    # 1 s later the price of 5 s ago is still 118: 141 is too far from it, 129 is not.
    engine.begin(NOON_NS + 19 * SECOND_NS)
    accepted(engine, sell(ALICE, quantity=1, price=129))
    assert placed(engine, buy(quantity=1, price=129)).status is OrderStatus.FILLED
    accepted(engine, sell(ALICE, quantity=1, price=141))
    assert placed(engine, buy(quantity=1, price=141)).reason == "circuit_breaker"


def test_moved_order_trips_as_a_new_one_does() -> None:
    engine = traded_at_100()
    accepted(engine, sell(ALICE, quantity=1, price=111))
    bid = placed(engine, buy(quantity=2, price=90))
    events = accepted(engine, amend(bid.order_id, price=120))
    assert only(OrderCanceled, events).order.reason == "circuit_breaker"
    assert status_of(engine) is InstrumentStatus.HALTED
    invariants.check(engine.state)


def test_own_orders_are_met_before_the_breaker_is_asked() -> None:
    engine = traded_at_100()
    accepted(engine, sell(BOB, quantity=1, price=150))
    assert placed(engine, buy(BOB, quantity=1, price=150)).reason == "self_trade"
    assert status_of(engine) is InstrumentStatus.OPEN


@pytest.mark.parametrize(("lots", "admitted"), [(2, True), (3, False)])
def test_fill_or_kill_counts_only_what_the_breaker_lets_it_reach(lots: int, admitted: bool) -> None:
    engine = traded_at_100()
    engine.begin(NOON_NS + SECOND_NS)
    for price in (105, 110, 111):
        accepted(engine, sell(ALICE, quantity=1, price=price))
    command = buy(quantity=lots, price=200, time_in_force=FOK)
    if admitted:
        assert placed(engine, command).status is OrderStatus.FILLED
    else:
        assert reason_of(engine, command) == "fok_not_fillable"
    assert status_of(engine) is InstrumentStatus.OPEN


def test_fill_or_kill_may_climb_while_each_print_is_measured_against_the_one_before() -> None:
    engine = engine_with([sell(ALICE, quantity=1, price=price) for price in (100, 110, 121, 133)], **BREAKER)
    assert placed(engine, buy(quantity=4, price=200, time_in_force=FOK)).status is OrderStatus.FILLED
    engine = engine_with([sell(ALICE, quantity=1, price=price) for price in (100, 110, 122)], **BREAKER)
    assert reason_of(engine, buy(quantity=3, price=200, time_in_force=FOK)) == "fok_not_fillable"


def test_halt_ends_in_open_trading_that_starts_without_a_past() -> None:
    engine = traded_at_100()
    accepted(engine, sell(ALICE, quantity=1, price=150))
    accepted(engine, buy(quantity=1, price=150))
    assert tick_at(engine, NOON_NS + HALT_NS - 1) == []
    listed = only(InstrumentListed, tick_at(engine, NOON_NS + HALT_NS)).instrument
    assert listed.status is InstrumentStatus.OPEN
    assert placed(engine, buy(quantity=1, price=150)).status is OrderStatus.FILLED
    assert engine.next_deadline is None


def test_halt_of_an_instrument_with_auctions_ends_in_one_and_that_in_open_trading() -> None:
    engine = traded_at_100(auction_ns=60 * SECOND_NS)
    accepted(engine, sell(ALICE, quantity=1, price=150))
    accepted(engine, buy(quantity=1, price=150))
    tick_at(engine, NOON_NS + HALT_NS)
    assert status_of(engine) is InstrumentStatus.AUCTION
    assert engine.next_deadline == NOON_NS + HALT_NS + 60 * SECOND_NS
    accepted(engine, buy(quantity=1, price=160))
    trade = only(TradeExecuted, tick_at(engine, NOON_NS + HALT_NS + 60 * SECOND_NS))
    assert (trade.price, status_of(engine)) == (150, InstrumentStatus.OPEN)
    assert engine.next_deadline is None


def test_status_that_an_administrator_gives_calls_off_the_end_of_the_halt() -> None:
    engine = traded_at_100()
    accepted(engine, sell(ALICE, quantity=1, price=150))
    accepted(engine, buy(quantity=1, price=150))
    accepted(engine, update(max_quantity=50))
    assert engine.next_deadline == NOON_NS + HALT_NS
    accepted(engine, update(status=InstrumentStatus.HALTED))
    assert engine.next_deadline is None
    assert tick_at(engine, NOON_NS + HALT_NS) == []
    assert status_of(engine) is InstrumentStatus.HALTED


def test_another_breaker_begins_without_a_past_and_the_same_one_goes_on() -> None:
    engine = traded_at_100()
    accepted(engine, update(breaker_move=10 * PERCENT, max_quantity=1_000))
    assert engine.state.books["BTC-USD"].trail is not None
    accepted(engine, sell(ALICE, quantity=1, price=150))
    accepted(engine, update(breaker_move=20 * PERCENT))
    assert placed(engine, buy(quantity=1, price=150)).status is OrderStatus.FILLED
    accepted(engine, update(breaker_move=None, breaker_window_ns=None, breaker_halt_ns=None))
    accepted(engine, sell(ALICE, quantity=1, price=900))
    assert placed(engine, buy(quantity=1, price=900)).status is OrderStatus.FILLED


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"breaker_move": PERCENT}, "breaker_window_ns"),
        ({"breaker_move": PERCENT, "breaker_window_ns": 1}, "breaker_halt_ns"),
        ({"breaker_halt_ns": 1}, "breaker_move"),
        (BREAKER | {"breaker_move": 0}, "breaker_move"),
        (BREAKER | {"breaker_window_ns": 2**63}, "breaker_window_ns"),
        ({"auction_ns": -1}, "auction_ns"),
        ({"auction_ns": None}, "auction_ns"),
        ({"session_close_ns": 86_400 * SECOND_NS}, "session_close_ns"),
    ],
)
def test_breaker_is_set_whole_or_not_at_all_and_times_are_sound(changes: dict[str, Any], field: str) -> None:
    engine = engine_with()
    engine.apply(update(**changes))
    rejection = engine.outcome.rejection
    assert rejection is not None
    assert (rejection.reason, rejection.field) == ("invalid_request", field)


def test_restored_engine_measures_against_the_same_prices_and_halts_as_long() -> None:
    engine = traded_at_100()
    engine.begin(NOON_NS + SECOND_NS)
    accepted(engine, sell(ALICE, quantity=1, price=108))
    accepted(engine, buy(quantity=1, price=108))
    accepted(engine, sell(ALICE, quantity=1, price=115))
    engine.seal()
    twin = twin_of(engine)
    for each in (engine, twin):
        assert placed(each, buy(quantity=1, price=115, time_in_force=IOC)).reason == "circuit_breaker"
        each.seal()
    assert twin.state_hash() == engine.state_hash()
    twin = twin_of(engine)
    for each in (engine, twin):
        assert each.next_deadline == NOON_NS + SECOND_NS + HALT_NS
        tick_at(each, NOON_NS + SECOND_NS + HALT_NS)
        assert status_of(each) is InstrumentStatus.OPEN
        accepted(each, cancel(5, ALICE))
        each.seal()
    assert twin.state_hash() == engine.state_hash()
    assert order(engine, 5).status is OrderStatus.CANCELED
    assert held(engine, ALICE, BASE) == 0
