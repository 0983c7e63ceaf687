"""Two orders of which only one trades: they hold once, and whatever happens to one ends the other."""

from typing import Any

import pytest

from app.domain.commands import SetKillSwitch, UpdateAccount
from app.domain.enums import (
    AccountStatus,
    InstrumentStatus,
    KillSwitchScope,
    OrderType,
    SelfTradePrevention,
    TimeInForce,
)
from app.domain.events import OrderCanceled, TradeExecuted
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    FOK,
    NOON_NS,
    PERCENT,
    QUOTE,
    accepted,
    all_of,
    amend,
    asks,
    available,
    bids,
    buy,
    cancel,
    cancel_all,
    engine_with,
    held,
    order,
    placed,
    reason_of,
    refused,
    sell,
    stop,
    tick,
    tick_at,
    trade_at,
    twin_of,
    update,
)
from tests.unit.engine.list_builders import ids_of, oco, steps, words

LOW, HIGH = buy(quantity=5, price=90), stop(BOB, "buy", 5, 110)
"""A bid, and a buy stop that holds for its cap of 121."""


def pair_of(engine: Engine) -> list[int]:
    """Place Bob's bid at 90 and his buy stop at 110; returns their ids."""
    return ids_of(engine, oco(LOW, HIGH))


# ---- holds -------------------------------------------------------------------------------------


def test_a_pair_holds_what_the_leg_needs_that_needs_more() -> None:
    engine = engine_with(balances={BOB: {QUOTE: 605}})
    low, high = pair_of(engine)
    assert (order(engine, low).held, order(engine, high).held) == (0, 605)
    assert (available(engine, BOB, QUOTE), held(engine, BOB, QUOTE)) == (0, 605)


def test_pair_that_cannot_pay_its_dearer_leg_is_refused() -> None:
    engine = engine_with(balances={BOB: {QUOTE: 604}})
    rejection = refused(engine, oco(LOW, HIGH))
    assert (rejection.reason, rejection.limit, rejection.actual) == ("insufficient_balance", "604", "605")


def test_of_equal_holds_the_first_leg_has_it() -> None:
    engine = engine_with(balances={BOB: {BASE: 5}})
    ids = ids_of(engine, oco(sell(quantity=5, price=120), stop(BOB, "sell", 5, 80)))
    assert [order(engine, each).held for each in ids] == [5, 0]
    assert available(engine, BOB, BASE) == 0


def test_canceling_a_leg_ends_the_other_and_frees_the_hold() -> None:
    engine = engine_with()
    ids = pair_of(engine)
    accepted(engine, cancel(ids[0]))
    assert words(engine, ids) == ["canceled: user", "canceled: oco_peer"]
    assert held(engine, BOB, QUOTE) == 0
    assert bids(engine) == []
    trade_at(engine, 110, maker=ALICE)
    assert engine.next_deadline is None


def test_hold_moves_with_an_amend_that_makes_the_other_leg_the_dearer_one() -> None:
    engine = engine_with(balances={BOB: {QUOTE: 1000}})
    ids = ids_of(engine, oco(buy(quantity=5, price=90), buy(quantity=5, price=80)))
    assert [order(engine, each).held for each in ids] == [450, 0]
    accepted(engine, amend(ids[1], price=100))
    assert words(engine, ids) == ["open", "open"]
    assert [order(engine, each).held for each in ids] == [0, 500]
    accepted(engine, amend(ids[1], price=70))
    assert [order(engine, each).held for each in ids] == [450, 0]


def test_amend_pays_only_what_the_pair_needs_more() -> None:
    engine = engine_with(balances={BOB: {QUOTE: 500}})
    ids = ids_of(engine, oco(buy(quantity=5, price=90), buy(quantity=5, price=80)))
    rejection = refused(engine, amend(ids[1], price=101))
    # 505 less the 450 that the pair holds.
    assert (rejection.reason, rejection.limit, rejection.actual) == ("insufficient_balance", "50", "55")
    assert words(engine, ids) == ["open", "open"]
    accepted(engine, amend(ids[1], price=100))


# ---- prints ------------------------------------------------------------------------------------


def test_other_leg_is_canceled_before_the_first_print_of_a_resting_leg() -> None:
    engine = engine_with()
    low, high = pair_of(engine)
    events = accepted(engine, sell(ALICE, quantity=2, price=90))
    assert steps(events) == [(3, "open"), (high, "canceled"), (low, "partially_filled"), (3, "filled")]
    assert isinstance(events[1], OrderCanceled)
    assert isinstance(events[2], TradeExecuted)
    assert words(engine, [low, high]) == ["partially_filled", "canceled: oco_peer"]
    assert order(engine, low).held == held(engine, BOB, QUOTE) == 3 * 90


def test_other_leg_is_canceled_before_a_leg_takes() -> None:
    engine = engine_with([sell(ALICE, quantity=2, price=90)])
    events = accepted(engine, oco(LOW, HIGH))
    assert steps(events) == [
        (2, "open"),
        (3, "untriggered"),
        (3, "canceled"),
        (1, "filled"),
        (2, "partially_filled"),
    ]
    assert bids(engine) == [(90, 3)]


def test_only_one_leg_trades_when_a_sweep_reaches_both() -> None:
    engine = engine_with()
    ids = ids_of(engine, oco(buy(quantity=5, price=90), buy(quantity=5, price=89)))
    taken = placed(engine, sell(ALICE, quantity=10, price=89))
    assert taken.filled_quantity == 5
    assert words(engine, ids) == ["filled", "canceled: oco_peer"]
    assert asks(engine) == [(89, 5)]


def test_fill_or_kill_counts_only_one_leg() -> None:
    engine = engine_with()
    ids_of(engine, oco(buy(quantity=5, price=90), buy(quantity=5, price=89)))
    assert reason_of(engine, sell(ALICE, quantity=6, price=89, time_in_force=FOK)) == "fok_not_fillable"
    assert placed(engine, sell(ALICE, quantity=5, price=89, time_in_force=FOK)).status == "filled"


def test_a_fired_leg_ends_the_other_when_it_runs_and_not_before() -> None:
    engine = engine_with()
    low, high = pair_of(engine)
    trade_at(engine, 110, maker=ALICE)
    assert words(engine, [low, high]) == ["open", "untriggered"]
    accepted(engine, sell(ALICE, quantity=5, price=112))
    events = tick(engine)
    assert steps(events)[:2] == [(low, "canceled"), (high, "open")]
    assert words(engine, [low, high]) == ["canceled: oco_peer", "filled"]


def test_a_fired_leg_leaves_the_queue_when_the_other_one_trades_first() -> None:
    engine = engine_with()
    low, high = pair_of(engine)
    trade_at(engine, 110, maker=ALICE)
    assert engine.next_deadline == 0
    accepted(engine, sell(ALICE, quantity=1, price=90))
    assert words(engine, [low, high]) == ["partially_filled", "canceled: oco_peer"]
    assert engine.next_deadline is None


def test_self_trade_prevention_that_ends_a_leg_ends_the_other() -> None:
    engine = engine_with()
    ids = pair_of(engine)
    accepted(engine, sell(quantity=2, price=90, stp=SelfTradePrevention.CANCEL_OLDEST))
    assert words(engine, ids) == ["canceled: self_trade", "canceled: oco_peer"]


def test_a_leg_that_is_decremented_keeps_the_other_and_the_larger_hold() -> None:
    engine = engine_with()
    ids = ids_of(engine, oco(buy(quantity=5, price=90), buy(quantity=5, price=80)))
    accepted(engine, sell(quantity=2, price=90, stp=SelfTradePrevention.DECREMENT))
    assert [order(engine, each).remaining for each in ids] == [3, 5]
    # 3 x 90 is less than 5 x 80.
    assert [order(engine, each).held for each in ids] == [0, 400]
    assert words(engine, ids) == ["open: self_trade", "open"]


def test_fees_of_the_leg_that_trades_are_paid_out_of_the_pairs_hold() -> None:
    engine = engine_with(balances={BOB: {QUOTE: 455}, ALICE: {BASE: 5}}, maker_fee=PERCENT, taker_fee=PERCENT)
    ids = ids_of(engine, oco(buy(quantity=5, price=80), buy(quantity=5, price=90)))
    assert [order(engine, each).held for each in ids] == [0, 455]
    accepted(engine, sell(ALICE, quantity=5, price=90))
    assert (available(engine, BOB, QUOTE), held(engine, BOB, QUOTE)) == (0, 0)


# ---- other endings -----------------------------------------------------------------------------


def test_expiry_of_a_leg_ends_the_other() -> None:
    engine = engine_with()
    due = NOON_NS + 10
    legs = oco(buy(quantity=5, price=90, time_in_force=TimeInForce.GTD, expire_ns=due), HIGH)
    ids = ids_of(engine, legs)
    tick_at(engine, due)
    assert words(engine, ids) == ["expired: gtd", "canceled: oco_peer"]


def test_both_legs_of_one_time_expire_once() -> None:
    engine = engine_with()
    due = NOON_NS + 10
    legs = [buy(quantity=5, price=price, time_in_force=TimeInForce.GTD, expire_ns=due) for price in (90, 80)]
    ids = ids_of(engine, oco(*legs))
    tick_at(engine, due)
    assert words(engine, ids) == ["expired: gtd", "canceled: oco_peer"]
    assert engine.next_deadline is None


def test_cancel_all_of_a_list_leaves_other_orders() -> None:
    engine = engine_with([buy(quantity=1, price=50)])
    ids = pair_of(engine)
    others = ids_of(engine, oco(LOW, HIGH))
    accepted(engine, cancel_all(order_list_id=1))
    assert words(engine, ids) == ["canceled: cancel_all", "canceled: oco_peer"]
    assert words(engine, [1, *others]) == ["open", "open", "untriggered"]
    assert [state.order_id for state in engine.outcome.orders] == ids


def test_kill_switch_cancels_both_legs() -> None:
    engine = engine_with()
    ids = pair_of(engine)
    accepted(engine, SetKillSwitch(KillSwitchScope.ACCOUNT, str(BOB), on=True))
    tick(engine)
    assert words(engine, ids) == ["canceled: kill_switch", "canceled: oco_peer"]


def test_a_frozen_account_keeps_its_pair_until_the_stop_runs() -> None:
    engine = engine_with()
    ids = pair_of(engine)
    accepted(engine, UpdateAccount(BOB, AccountStatus.FROZEN))
    trade_at(engine, 110, maker=ALICE)
    assert words(engine, ids) == ["open", "untriggered"]
    tick(engine)
    assert words(engine, ids) == ["canceled: oco_peer", "canceled: account_frozen"]


def test_breaker_that_keeps_a_leg_from_trading_ends_both() -> None:
    rules: dict[str, Any] = {"breaker_move": 10 * PERCENT, "breaker_window_ns": 1000, "breaker_halt_ns": 1000}
    engine = engine_with([sell(ALICE, quantity=1, price=100), buy(CAROL, quantity=1, price=100)], **rules)
    accepted(engine, sell(ALICE, quantity=5, price=120))
    ids = ids_of(engine, oco(buy(quantity=5, price=130), buy(quantity=5, price=90)))
    assert words(engine, ids) == ["canceled: circuit_breaker", "canceled: oco_peer"]
    assert held(engine, BOB, QUOTE) == 0


def test_only_one_leg_trades_in_an_uncross() -> None:
    engine = engine_with(status=InstrumentStatus.AUCTION)
    ids = ids_of(engine, oco(buy(quantity=5, price=101), buy(quantity=5, price=100)))
    accepted(engine, sell(ALICE, quantity=10, price=100))
    events = accepted(engine, update(status="open"))
    assert [trade.quantity for trade in all_of(TradeExecuted, events)] == [5]
    assert words(engine, ids) == ["filled", "canceled: oco_peer"]
    assert asks(engine) == [(100, 5)]


# ---- amends ------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["quantity", "display_quantity"])
def test_only_prices_of_a_leg_may_change(field: str) -> None:
    engine = engine_with()
    rejection = refused(engine, amend(pair_of(engine)[0], **{field: 3}))
    assert (rejection.reason, rejection.field) == ("invalid_request", field)


def test_trigger_of_a_leg_may_change_and_moves_the_hold() -> None:
    engine = engine_with()
    low, high = pair_of(engine)
    accepted(engine, amend(high, trigger_price=100))
    assert held(engine, BOB, QUOTE) == 5 * 110
    assert words(engine, [low, high]) == ["open", "untriggered"]


def test_leg_amended_to_a_price_that_crosses_ends_the_other_and_trades() -> None:
    engine = engine_with([sell(ALICE, quantity=2, price=95)])
    low, high = pair_of(engine)
    accepted(engine, amend(low, price=95))
    assert words(engine, [low, high]) == ["partially_filled", "canceled: oco_peer"]


# ---- restarts ----------------------------------------------------------------------------------


def test_a_restored_engine_knows_its_pairs() -> None:
    engine = engine_with()
    low, high = pair_of(engine)
    trailing = stop(BOB, "buy", 1, type=OrderType.TRAILING_STOP, trailing_offset=5)
    trade_at(engine, 100, maker=ALICE)
    half = ids_of(engine, oco(buy(quantity=1, price=70), trailing))
    engine.seal()
    twin = twin_of(engine)
    assert twin.state_hash() == engine.state_hash()
    for each in (engine, twin):
        accepted(each, sell(ALICE, quantity=1, price=90))
        accepted(each, cancel(half[1]))
        each.seal()
        assert words(each, [low, high, *half]) == [
            "partially_filled",
            "canceled: oco_peer",
            "canceled: oco_peer",
            "canceled: user",
        ]
    assert twin.state_hash() == engine.state_hash()
