"""Amends: what keeps its place and what loses it, and that the hold follows."""

import pytest

from app.domain.commands import AmendOrder
from app.domain.enums import OrderReason, PostOnly, Priority, SelfTradePrevention, Side
from app.domain.events import (
    OrderAmended,
    OrderAmendRejected,
    OrderCanceled,
    OrderRejected,
    TradeExecuted,
)
from app.engine import invariants
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    PERCENT,
    QUOTE,
    SYMBOL,
    accepted,
    all_of,
    amend,
    available,
    bids,
    buy,
    cancel,
    engine_with,
    only,
    order,
    reason_of,
    refused,
    sell,
    update,
)

REJECT, REPRICE = PostOnly.REJECT, PostOnly.REPRICE
STRANGER = 4_711


def queue(engine: Engine, side: Side, price: int) -> list[int]:
    """Return the order ids of a level, first in the queue first."""
    level = engine.state.books[SYMBOL].side(side).levels[price]
    ids, resting = [], level.head
    while resting is not None:
        ids.append(resting.order_id)
        resting = resting.behind
    return ids


def two_in_a_queue() -> Engine:
    return engine_with(resting=[buy(quantity=5, price=100), buy(ALICE, quantity=5, price=100)])


def test_smaller_amend_keeps_its_place() -> None:
    engine = two_in_a_queue()
    events = accepted(engine, amend(1, quantity=3))
    assert (engine.outcome.priority, queue(engine, Side.BUY, 100)) == (Priority.KEPT, [1, 2])
    assert only(OrderAmended, events).order.quantity == 3
    assert bids(engine) == [(100, 8)]


def test_larger_amend_goes_to_the_back() -> None:
    engine = two_in_a_queue()
    accepted(engine, amend(1, quantity=6))
    assert (engine.outcome.priority, queue(engine, Side.BUY, 100)) == (Priority.LOST, [2, 1])


def test_new_price_goes_to_the_back_of_its_new_level() -> None:
    engine = two_in_a_queue()
    accepted(engine, buy(CAROL, quantity=1, price=99))
    accepted(engine, amend(1, price=99, quantity=2))
    assert (engine.outcome.priority, queue(engine, Side.BUY, 99)) == (Priority.LOST, [3, 1])


def test_amend_to_what_it_is_changes_nothing() -> None:
    engine = two_in_a_queue()
    assert accepted(engine, amend(1, price=100, quantity=5)) == []
    assert (engine.outcome.priority, order(engine, 1).state.version) == (Priority.KEPT, 1)


def test_amend_is_of_the_total_quantity_filled_part_included() -> None:
    engine = two_in_a_queue()
    accepted(engine, sell(CAROL, quantity=2, price=100))
    accepted(engine, amend(1, quantity=3))
    assert (order(engine, 1).state.filled_quantity, order(engine, 1).remaining) == (2, 1)


@pytest.mark.parametrize("quantity", [1, 2])
def test_amend_at_or_below_the_filled_part_cancels_the_rest(quantity: int) -> None:
    engine = two_in_a_queue()
    accepted(engine, sell(CAROL, quantity=2, price=100))
    canceled = only(OrderCanceled, accepted(engine, amend(1, quantity=quantity))).order
    assert (canceled.filled_quantity, canceled.reason, canceled.remaining_quantity) == (2, OrderReason.USER, 3)
    invariants.check(engine.state)


def test_amend_to_a_crossing_price_trades_as_taker() -> None:
    engine = engine_with(resting=[buy(quantity=5, price=90), sell(ALICE, quantity=3, price=100)])
    events = accepted(engine, amend(1, price=100))
    trade = only(TradeExecuted, events)
    assert (trade.taker_order_id, trade.quantity) == (1, 3)
    assert [fill.quantity for fill in engine.outcome.fills] == [3]
    assert bids(engine) == [(100, 2)]


def test_amend_into_an_own_order_is_prevented_like_a_place() -> None:
    engine = engine_with(
        resting=[
            buy(quantity=5, price=90, stp=SelfTradePrevention.CANCEL_OLDEST),
            sell(BOB, quantity=3, price=100),
            sell(ALICE, quantity=1, price=100),
        ]
    )
    events = accepted(engine, amend(1, price=100))
    assert only(OrderCanceled, events).order.order_id == 2
    assert only(TradeExecuted, events).maker_order_id == 3


def test_amend_expecting_another_version_is_refused_with_both() -> None:
    engine = two_in_a_queue()
    accepted(engine, amend(1, quantity=4))
    rejection = refused(engine, AmendOrder(BOB, 1, quantity=3, if_version=1))
    assert (rejection.reason, rejection.limit, rejection.actual) == ("version_conflict", "2", "1")
    accepted(engine, AmendOrder(BOB, 1, quantity=3, if_version=2))


def test_amend_of_nothing_of_another_account_or_of_an_ended_order_is_refused() -> None:
    engine = two_in_a_queue()
    assert reason_of(engine, amend(99, quantity=1)) == "unknown_order"
    assert reason_of(engine, amend(2, BOB, quantity=1)) == "unknown_order"
    assert reason_of(engine, amend(1, STRANGER, quantity=1)) == "not_found"
    assert reason_of(engine, AmendOrder(BOB, 1, quantity=1, symbols=("ETH-USD",))) == "unknown_order"
    accepted(engine, cancel(1))
    rejected = only(OrderAmendRejected, engine.apply(amend(1, quantity=1)))
    assert (rejected.order_id, rejected.rejection.reason) == (1, "order_not_open")


def test_post_only_is_checked_again_at_the_new_price() -> None:
    engine = engine_with(resting=[sell(quantity=1, price=101), buy(ALICE, quantity=1, price=90, post_only=REJECT)])
    assert reason_of(engine, amend(2, ALICE, price=101)) == "post_only_would_take"
    assert order(engine, 2).price == 90
    accepted(engine, amend(2, ALICE, price=100))


def test_amend_of_a_repricing_order_moves_to_one_tick_from_the_opposite_best() -> None:
    engine = engine_with(resting=[sell(quantity=1, price=101), buy(ALICE, quantity=1, price=90, post_only=REPRICE)])
    accepted(engine, amend(2, ALICE, price=150))
    assert order(engine, 2).price == 100


def test_amend_that_is_repriced_to_where_the_order_is_keeps_its_place() -> None:
    engine = engine_with(
        resting=[
            sell(quantity=1, price=101),
            buy(ALICE, quantity=5, price=100, post_only=REPRICE),
            buy(CAROL, quantity=1, price=100),
        ]
    )
    assert accepted(engine, amend(2, ALICE, price=150)) == []
    assert (engine.outcome.priority, queue(engine, Side.BUY, 100)) == (Priority.KEPT, [2, 3])
    accepted(engine, amend(2, ALICE, price=150, quantity=4))
    assert (engine.outcome.priority, queue(engine, Side.BUY, 100)) == (Priority.KEPT, [2, 3])


def test_amend_may_shrink_but_not_move_while_the_instrument_is_halted() -> None:
    engine = two_in_a_queue()
    accepted(engine, update(status="halted"))
    accepted(engine, amend(1, quantity=4))
    assert reason_of(engine, amend(1, price=99)) == "instrument_halted"


def test_amend_takes_decimals_of_its_own_scale_and_refuses_what_is_no_multiple() -> None:
    engine = engine_with(tick_size="0.5", lot_size="2", resting=[buy(quantity=5, price=100)],
                         balances={BOB: {QUOTE: 10_000}})  # fmt: skip
    accepted(engine, AmendOrder(BOB, 1, 495, 8, price_scale=1, quantity_scale=0))
    assert (order(engine, 1).price, order(engine, 1).state.quantity) == (99, 4)
    accepted(engine, AmendOrder(BOB, 1, 4_900, 600, price_scale=2, quantity_scale=2))
    assert (order(engine, 1).price, order(engine, 1).state.quantity) == (98, 3)
    rejection = refused(engine, AmendOrder(BOB, 1, 493, price_scale=1))
    assert (rejection.reason, rejection.field) == ("invalid_price_tick", "price")
    rejection = refused(engine, AmendOrder(BOB, 1, quantity=7, quantity_scale=0))
    assert (rejection.reason, rejection.field) == ("invalid_quantity_lot", "quantity")


def test_reason_of_a_decrement_does_not_stick_to_a_later_amend() -> None:
    engine = engine_with(resting=[sell(quantity=5, price=100)])
    accepted(engine, buy(BOB, quantity=1, price=100, stp=SelfTradePrevention.DECREMENT))
    for change in (amend(1, quantity=3), amend(1, price=101)):
        assert only(OrderAmended, accepted(engine, change)).order.reason is None


def test_partial_fill_then_amend_then_cancel_settles_exactly() -> None:
    engine = engine_with(
        resting=[buy(quantity=10, price=100)], balances={BOB: {QUOTE: 1_010}, ALICE: {BASE: 4}}, maker_fee=PERCENT
    )
    accepted(engine, sell(ALICE, quantity=4, price=100))
    accepted(engine, amend(1, price=50))
    accepted(engine, cancel(1))
    # 4 x 100 and 1 % of it were paid, nothing else.
    assert (available(engine, BOB, QUOTE), available(engine, BOB, BASE)) == (606, 4)
    assert all_of(OrderRejected, engine.apply(buy(BOB, quantity=6, price=100, client_order_id="n"))) == []


def test_a_refused_amend_answers_the_instrument_that_its_numbers_are_in_but_not_of_anothers_order() -> None:
    engine = engine_with([buy(quantity=5, price=100)], max_quantity=9)
    refused(engine, amend(1, quantity=10))
    assert engine.outcome.instrument == engine.state.books[SYMBOL].instrument
    refused(engine, amend(1, ALICE, quantity=10))
    assert engine.outcome.instrument is None
    refused(engine, amend(1, quantity=10, symbols=("OTHER",)))
    assert engine.outcome.instrument is None
