"""Place and cancel: what each answers, what it changes, and what a refusal leaves alone."""

import msgspec
import pytest

from app.domain.commands import CancelOrder
from app.domain.enums import OrderReason, OrderStatus, PostOnly, Side
from app.domain.events import (
    OrderCanceled,
    OrderCancelRejected,
    OrderRejected,
)
from app.engine import matching
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    FOK,
    IOC,
    PERCENT,
    QUOTE,
    SYMBOL,
    accepted,
    asks,
    available,
    bids,
    buy,
    cancel,
    cancel_all,
    engine_with,
    instrument_command,
    only,
    order,
    placed,
    reason_of,
    refused,
    sell,
    update,
)

REJECT, REPRICE = PostOnly.REJECT, PostOnly.REPRICE
STRANGER = 4_711


# ---- place -------------------------------------------------------------------------------------


def test_limit_order_that_meets_nobody_rests_open() -> None:
    engine = engine_with()
    state = placed(engine, buy(ALICE, quantity=5, price=100, label="grid"))
    assert (state.order_id, state.status, state.version, state.terms.label) == (1, OrderStatus.OPEN, 1, "grid")
    assert bids(engine) == [(100, 5)]


def test_order_ids_are_sequential_and_refused_orders_take_none() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 100}})
    reason_of(engine, buy(ALICE, quantity=2, price=100))
    assert [placed(engine, buy(ALICE, quantity=1, price=price)).order_id for price in (30, 40)] == [1, 2]


def test_refused_order_is_stated_to_its_account_and_leaves_no_trace() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 100}})
    events = engine.apply(buy(ALICE, quantity=2, price=100, client_order_id="x"))
    rejected = only(OrderRejected, events)
    assert (rejected.account_id, rejected.rejection) == (ALICE, engine.outcome.rejection)
    assert len(events) == 1
    assert engine.state.orders == {}
    assert "x" not in engine.state.accounts[ALICE].client_ids


def test_ioc_remainder_is_canceled_and_never_rests() -> None:
    engine = engine_with(resting=[sell(quantity=3, price=100)])
    events = accepted(engine, buy(ALICE, quantity=5, price=100, time_in_force=IOC))
    canceled = only(OrderCanceled, events)
    assert (canceled.remaining_quantity, canceled.order.reason) == (2, OrderReason.IOC_REMAINDER)
    assert (bids(engine), asks(engine)) == ([], [])


def test_order_of_an_unknown_account_is_not_found_and_of_an_unknown_symbol_says_so() -> None:
    engine = engine_with()
    assert reason_of(engine, buy(STRANGER, quantity=1, price=1)) == "not_found"
    rejection = refused(engine, buy(ALICE, quantity=1, price=1, symbol="NOPE"))
    assert (rejection.reason, rejection.field) == ("unknown_symbol", "symbol")


# ---- market orders -----------------------------------------------------------------------------


def test_market_order_without_an_opposite_side_is_refused() -> None:
    engine = engine_with(resting=[buy(quantity=1, price=100)])
    assert reason_of(engine, buy(ALICE, quantity=1)) == "no_liquidity"


def test_market_order_takes_all_there_is_and_says_that_liquidity_ended() -> None:
    engine = engine_with(resting=[sell(quantity=3, price=100)])
    state = placed(engine, buy(ALICE, quantity=5))
    assert (state.status, state.reason, state.filled_quantity) == (OrderStatus.CANCELED, OrderReason.NO_LIQUIDITY, 3)


def test_market_order_stops_at_its_cap_and_says_so() -> None:
    resting = [sell(quantity=1, price=price) for price in (100, 105, 106)]
    engine = engine_with(resting=resting, max_slippage=5 * PERCENT)
    state = placed(engine, buy(ALICE, quantity=3))
    assert (state.price, state.filled_quantity, state.reason) == (105, 2, OrderReason.SLIPPAGE_CAP)
    assert asks(engine) == [(106, 1)]


def test_market_buy_holds_at_its_cap_and_gets_the_rest_back() -> None:
    engine = engine_with(
        resting=[sell(quantity=10, price=100)],
        balances={ALICE: {QUOTE: 1_100}, BOB: {BASE: 10}},
        max_slippage=10 * PERCENT,
    )
    assert reason_of(engine, buy(ALICE, quantity=11)) == "insufficient_balance"
    accepted(engine, buy(ALICE, quantity=10))
    assert available(engine, ALICE, QUOTE) == 100


def test_market_fok_fills_whole_or_not_at_all() -> None:
    engine = engine_with(resting=[sell(quantity=3, price=100)])
    assert reason_of(engine, buy(ALICE, quantity=4, time_in_force=FOK)) == "fok_not_fillable"
    assert placed(engine, buy(ALICE, quantity=3, time_in_force=FOK)).status is OrderStatus.FILLED


# ---- post only ---------------------------------------------------------------------------------


def test_post_only_that_would_not_take_rests_at_its_price() -> None:
    engine = engine_with(resting=[sell(quantity=1, price=101)])
    assert placed(engine, buy(ALICE, quantity=1, price=100, post_only=REJECT)).price == 100
    assert placed(engine, buy(ALICE, quantity=1, price=99, post_only=REPRICE)).price == 99


@pytest.mark.parametrize("price", [101, 150])
def test_post_only_reject_that_would_take_is_refused_with_the_best_price(price: int) -> None:
    engine = engine_with(resting=[sell(quantity=1, price=101)])
    rejection = refused(engine, buy(ALICE, quantity=1, price=price, post_only=REJECT))
    assert (rejection.reason, rejection.limit, rejection.actual) == ("post_only_would_take", "101", str(price))


def test_post_only_reprice_rests_one_tick_from_the_opposite_best() -> None:
    engine = engine_with(resting=[sell(quantity=1, price=101), buy(quantity=1, price=95)])
    assert placed(engine, buy(ALICE, quantity=1, price=150, post_only=REPRICE)).price == 100
    assert placed(engine, sell(ALICE, quantity=1, price=50, post_only=REPRICE)).price == 101
    assert (bids(engine), asks(engine)) == ([(100, 1), (95, 1)], [(101, 2)])


def test_repriced_order_holds_at_the_price_it_rests_at() -> None:
    engine = engine_with(resting=[sell(quantity=1, price=101)], balances={ALICE: {QUOTE: 100}, BOB: {BASE: 1}})
    accepted(engine, buy(ALICE, quantity=1, price=150, post_only=REPRICE))
    assert available(engine, ALICE, QUOTE) == 0


def test_reprice_below_one_tick_is_refused() -> None:
    engine = engine_with(resting=[sell(quantity=1, price=1)])
    assert reason_of(engine, buy(ALICE, quantity=1, price=5, post_only=REPRICE)) == "post_only_would_take"


def test_post_only_against_an_own_order_alone_would_still_take() -> None:
    engine = engine_with(resting=[sell(ALICE, quantity=1, price=101)])
    assert reason_of(engine, buy(ALICE, quantity=1, price=101, post_only=REJECT)) == "post_only_would_take"


# ---- client order ids --------------------------------------------------------------------------


def test_same_client_order_id_and_body_answers_the_order_as_it_is_now() -> None:
    engine = engine_with()
    command = buy(ALICE, quantity=5, price=100, client_order_id="a")
    accepted(engine, command)
    accepted(engine, sell(quantity=2, price=100))
    events = accepted(engine, command)
    assert events == []
    outcome = engine.outcome
    assert outcome.duplicate
    assert outcome.order is not None
    assert (outcome.order.order_id, outcome.order.filled_quantity) == (1, 2)
    assert bids(engine) == [(100, 3)]


def test_same_client_order_id_with_another_body_is_refused() -> None:
    engine = engine_with()
    accepted(engine, buy(ALICE, quantity=5, price=100, client_order_id="a"))
    for other in (
        buy(ALICE, quantity=6, price=100, client_order_id="a"),
        sell(ALICE, quantity=5, price=100, client_order_id="a"),
        buy(ALICE, quantity=5, price=100, client_order_id="a", label="x"),
    ):
        assert reason_of(engine, other) == "client_order_id_reused"


def test_retry_from_another_session_is_the_same_order() -> None:
    engine = engine_with()
    accepted(engine, buy(ALICE, quantity=5, price=100, client_order_id="a", session_id="one"))
    accepted(engine, buy(ALICE, quantity=5, price=100, client_order_id="a", session_id="two"))
    assert engine.outcome.duplicate


def test_client_order_id_is_remembered_after_the_order_closed() -> None:
    engine = engine_with()
    command = buy(ALICE, quantity=5, price=100, client_order_id="a")
    accepted(engine, command)
    accepted(engine, cancel(1, ALICE))
    accepted(engine, command)
    assert engine.outcome.duplicate
    assert engine.outcome.order is not None
    assert engine.outcome.order.status is OrderStatus.CANCELED


def test_client_order_id_belongs_to_one_account() -> None:
    engine = engine_with()
    accepted(engine, buy(ALICE, quantity=5, price=100, client_order_id="a"))
    assert placed(engine, buy(BOB, quantity=6, price=90, client_order_id="a")).order_id == 2


def test_client_order_id_of_a_refused_order_may_be_used_again() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 100}})
    reason_of(engine, buy(ALICE, quantity=2, price=100, client_order_id="a"))
    assert placed(engine, buy(ALICE, quantity=1, price=100, client_order_id="a")).order_id == 1


def test_client_order_id_is_forgotten_with_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "CLOSED_ORDERS_MAX", 1)
    engine = engine_with()
    first = buy(ALICE, quantity=1, price=1, client_order_id="a", time_in_force=IOC)
    accepted(engine, first)
    accepted(engine, msgspec.structs.replace(first, client_order_id="b"))
    accepted(engine, first)
    assert not engine.outcome.duplicate
    assert engine.outcome.order is not None
    assert engine.outcome.order.order_id == 3


def test_retry_is_answered_even_when_a_new_order_would_be_refused() -> None:
    engine = engine_with()
    command = buy(ALICE, quantity=5, price=100, client_order_id="a")
    accepted(engine, command)
    accepted(engine, update(status="halted"))
    accepted(engine, command)
    assert engine.outcome.duplicate


# ---- cancel ------------------------------------------------------------------------------------


def test_cancel_by_either_id() -> None:
    engine = engine_with(resting=[buy(quantity=1, price=1), buy(quantity=1, price=1, client_order_id="a")])
    accepted(engine, cancel(1))
    accepted(engine, CancelOrder(BOB, client_order_id="a"))
    assert bids(engine) == []
    assert [order(engine, number).state.reason for number in (1, 2)] == [OrderReason.USER, OrderReason.USER]


def test_cancel_of_nothing_of_another_account_or_of_an_ended_order_is_refused() -> None:
    engine = engine_with(resting=[buy(quantity=1, price=1)])
    assert reason_of(engine, cancel(99)) == "unknown_order"
    assert reason_of(engine, CancelOrder(BOB, client_order_id="nope")) == "unknown_order"
    assert reason_of(engine, CancelOrder(BOB)) == "unknown_order"
    assert reason_of(engine, cancel(1, ALICE)) == "unknown_order"
    assert reason_of(engine, cancel(1, STRANGER)) == "not_found"
    accepted(engine, cancel(1))
    assert reason_of(engine, cancel(1)) == "order_not_open"


def test_cancel_limited_to_other_instruments_finds_no_order() -> None:
    engine = engine_with(resting=[buy(quantity=1, price=1)])
    assert reason_of(engine, CancelOrder(BOB, 1, symbols=("ETH-USD",))) == "unknown_order"
    accepted(engine, CancelOrder(BOB, 1, symbols=("ETH-USD", SYMBOL)))


def test_refused_cancel_is_stated_with_the_ids_it_named() -> None:
    engine = engine_with()
    rejected = only(OrderCancelRejected, engine.apply(CancelOrder(ALICE, client_order_id="z")))
    assert (rejected.account_id, rejected.order_id, rejected.client_order_id) == (ALICE, None, "z")


def test_cancel_all_takes_what_matches_oldest_first() -> None:
    engine = engine_with(
        resting=[
            buy(quantity=1, price=10, label="x"),
            sell(quantity=1, price=20, label="x"),
            buy(quantity=1, price=12),
            buy(ALICE, quantity=1, price=11, label="x"),
            buy(quantity=1, price=9, label="x"),
        ]
    )
    accepted(engine, cancel_all(BOB, side=Side.BUY, label="x"))
    assert [state.order_id for state in engine.outcome.orders] == [1, 5]
    assert {state.reason for state in engine.outcome.orders} == {OrderReason.CANCEL_ALL}
    assert (bids(engine), asks(engine)) == ([(12, 1), (11, 1)], [(20, 1)])
    accepted(engine, cancel_all(BOB, symbol="NOPE"))
    assert [state.order_id for state in engine.outcome.orders] == []
    accepted(engine, cancel_all(BOB, symbol=SYMBOL))
    assert [state.order_id for state in engine.outcome.orders] == [2, 3]
    assert reason_of(engine, cancel_all(STRANGER)) == "not_found"


def test_cancel_all_publishes_every_book_it_changed() -> None:
    engine = engine_with()
    accepted(engine, instrument_command(symbol="BTC-2"))
    for symbol in (SYMBOL, "BTC-2"):
        accepted(engine, buy(quantity=1, price=10, symbol=symbol))
    engine.seal()
    accepted(engine, cancel_all())
    assert [(book.symbol, book.delta.bids) for book in engine.seal().books if book.delta] == [
        (SYMBOL, [(10, 0)]), ("BTC-2", [(10, 0)]),
    ]  # fmt: skip
