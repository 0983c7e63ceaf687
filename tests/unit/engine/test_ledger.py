"""Holds and fees in numbers worked out by hand: price x quantity is the notional, 1 % is PERCENT."""

from collections.abc import Sequence

import pytest

from app.domain.enums import SelfTradePrevention
from app.domain.events import BalanceChanged, Fill, OrderFilled, OrderPartiallyFilled
from app.domain.identity import EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID
from app.engine import invariants
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BASIS_POINT,
    BOB,
    IOC,
    PERCENT,
    QUOTE,
    RICH,
    accepted,
    all_of,
    amend,
    available,
    buy,
    cancel,
    engine_with,
    held,
    order,
    refused,
    sell,
    update,
)

HALF_PERCENT = PERCENT // 2


def fills_of(order_id: int, *batches: Sequence[object]) -> list[Fill]:
    """Return the fills of one order among the events."""
    events = [event for batch in batches for event in batch if isinstance(event, OrderPartiallyFilled | OrderFilled)]
    return [event.fill for event in events if event.order.order_id == order_id]


# ---- holds -------------------------------------------------------------------------------------


def test_sell_holds_its_quantity_in_base_units() -> None:
    engine = engine_with(balances={ALICE: {BASE: 10}})
    accepted(engine, sell(ALICE, quantity=7, price=100))
    assert (available(engine, ALICE, BASE), held(engine, ALICE, BASE)) == (3, 7)


def test_buy_holds_notional_and_the_highest_fee_rounded_up() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 1_000}}, maker_fee=PERCENT, taker_fee=3 * PERCENT)
    accepted(engine, buy(ALICE, quantity=7, price=99))
    # 7 x 99 = 693, 3 % of it is 20.79: 21.
    assert (available(engine, ALICE, QUOTE), held(engine, ALICE, QUOTE)) == (286, 714)


def test_maker_fee_above_the_taker_fee_is_what_a_buy_holds() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 102}}, maker_fee=2 * PERCENT, taker_fee=PERCENT)
    accepted(engine, buy(ALICE, quantity=1, price=100))
    assert held(engine, ALICE, QUOTE) == 102


def test_rebate_never_lowers_a_hold() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 1_000}}, maker_fee=-PERCENT, taker_fee=PERCENT)
    accepted(engine, buy(ALICE, quantity=1, price=100))
    assert held(engine, ALICE, QUOTE) == 101


def test_one_unit_short_of_the_hold_is_refused_with_both_amounts() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 713}}, taker_fee=3 * PERCENT)
    rejection = refused(engine, buy(ALICE, quantity=7, price=99))
    assert (rejection.reason, rejection.limit, rejection.actual, rejection.unit) == (
        "insufficient_balance", "713", "714", QUOTE,
    )  # fmt: skip
    assert (available(engine, ALICE, QUOTE), held(engine, ALICE, QUOTE)) == (713, 0)


def test_trade_at_a_better_price_releases_the_difference_at_once() -> None:
    engine = engine_with(resting=[sell(BOB, quantity=4, price=90)], balances={BOB: {BASE: 4}, ALICE: {QUOTE: 1_000}})
    accepted(engine, buy(ALICE, quantity=10, price=100))
    # Holds 1000, buys 4 at 90 = 360, keeps 6 x 100 held: 40 come back.
    assert (available(engine, ALICE, QUOTE), held(engine, ALICE, QUOTE)) == (40, 600)
    assert available(engine, ALICE, BASE) == 4
    assert available(engine, BOB, QUOTE) == 360


def test_cancel_gives_back_exactly_what_is_still_held() -> None:
    engine = engine_with(
        resting=[buy(ALICE, quantity=10, price=100)], balances={ALICE: {QUOTE: 1_050}, BOB: {BASE: 3}},
        taker_fee=HALF_PERCENT,
    )  # fmt: skip
    accepted(engine, sell(BOB, quantity=3, price=100))
    assert (available(engine, ALICE, QUOTE), held(engine, ALICE, QUOTE)) == (46, 704)  # 700 and ceil(3.5)
    accepted(engine, cancel(1, ALICE))
    assert (available(engine, ALICE, QUOTE), held(engine, ALICE, QUOTE)) == (750, 0)
    invariants.check(engine.state)


def test_ioc_remainder_releases_its_hold() -> None:
    engine = engine_with(resting=[sell(BOB, quantity=3, price=100)], balances={ALICE: {QUOTE: 500}, BOB: {BASE: 3}})
    accepted(engine, buy(ALICE, quantity=5, price=100, time_in_force=IOC))
    assert (available(engine, ALICE, QUOTE), held(engine, ALICE, QUOTE)) == (200, 0)


def test_larger_amend_holds_the_difference_and_a_smaller_one_gives_it_back() -> None:
    engine = engine_with(resting=[buy(ALICE, quantity=5, price=100)], balances={ALICE: {QUOTE: 1_000}})
    accepted(engine, amend(1, ALICE, quantity=9))
    assert held(engine, ALICE, QUOTE) == 900
    accepted(engine, amend(1, ALICE, price=80))
    assert held(engine, ALICE, QUOTE) == 720
    accepted(engine, amend(1, ALICE, quantity=2))
    assert (available(engine, ALICE, QUOTE), held(engine, ALICE, QUOTE)) == (840, 160)


def test_amend_that_the_balance_cannot_cover_changes_nothing() -> None:
    engine = engine_with(resting=[buy(ALICE, quantity=5, price=100)], balances={ALICE: {QUOTE: 600}})
    rejection = refused(engine, amend(1, ALICE, quantity=7))
    assert (rejection.reason, rejection.limit, rejection.actual) == ("insufficient_balance", "100", "200")
    assert (order(engine, 1).state.quantity, order(engine, 1).remaining, order(engine, 1).state.version) == (5, 5, 1)
    assert (available(engine, ALICE, QUOTE), held(engine, ALICE, QUOTE)) == (100, 500)
    accepted(engine, amend(1, ALICE, quantity=6))
    assert available(engine, ALICE, QUOTE) == 0


def test_amended_partly_filled_buy_holds_the_rest_and_the_fee_that_is_not_yet_charged() -> None:
    engine = engine_with(resting=[buy(ALICE, quantity=3, price=33)], taker_fee=PERCENT, maker_fee=PERCENT)
    accepted(engine, sell(BOB, quantity=1, price=33))
    assert order(engine, 1).state.fees == 1  # 0.33 rounded up
    accepted(engine, amend(1, ALICE, price=34))
    # Two lots at 34 are 68; the fee of all is ceil(0.33 + 0.68) = 2, of which 1 is paid.
    assert held(engine, ALICE, QUOTE) == 69
    invariants.check(engine.state)


def test_self_trade_decrement_releases_the_hold_of_what_it_takes_off() -> None:
    engine = engine_with(resting=[buy(ALICE, quantity=10, price=100)], balances={ALICE: {QUOTE: 1_000, BASE: 4}})
    accepted(engine, sell(ALICE, quantity=4, price=100, stp=SelfTradePrevention.DECREMENT))
    assert (available(engine, ALICE, QUOTE), held(engine, ALICE, QUOTE)) == (400, 600)
    assert (available(engine, ALICE, BASE), held(engine, ALICE, BASE)) == (4, 0)


# ---- fees --------------------------------------------------------------------------------------


def test_fee_is_rounded_up() -> None:
    engine = engine_with(resting=[sell(BOB, quantity=1, price=101)], taker_fee=PERCENT)
    events = accepted(engine, buy(ALICE, quantity=1, price=101))
    assert [fill.fee for fill in fills_of(2, events)] == [2]  # 1.01
    assert available(engine, FEE_ACCOUNT_ID, QUOTE) == 2


def test_fee_of_an_exact_notional_is_not_rounded() -> None:
    engine = engine_with(resting=[sell(BOB, quantity=1, price=100)], taker_fee=PERCENT)
    events = accepted(engine, buy(ALICE, quantity=1, price=100))
    assert [fill.fee for fill in fills_of(2, events)] == [1]


def test_many_small_fills_cost_no_more_than_one() -> None:
    resting = [sell(BOB, quantity=1, price=30) for _ in range(5)]
    engine = engine_with(resting=resting, taker_fee=PERCENT)
    events = accepted(engine, buy(ALICE, quantity=5, price=30))
    # 0.30, 0.60, 0.90, 1.20, 1.50 rounded up: 1, 1, 1, 2, 2; each fill pays the difference.
    assert [fill.fee for fill in fills_of(6, events)] == [1, 0, 0, 1, 0]
    assert order(engine, 6).state.fees == 2


def test_rebate_is_paid_rounded_down_and_cumulative() -> None:
    resting = [sell(BOB, quantity=4, price=30)]
    engine = engine_with(resting=resting, maker_fee=-PERCENT, taker_fee=2 * PERCENT)
    batches = [accepted(engine, buy(ALICE, quantity=1, price=30)) for _ in range(4)]
    # Rebates so far 0.30, 0.60, 0.90, 1.20: nothing is paid before the whole unit.
    assert [fill.fee for fill in fills_of(1, *batches)] == [0, 0, 0, -1]
    assert order(engine, 1).state.fees == -1
    # Four takers pay ceil(0.60) = 1 each.
    assert available(engine, FEE_ACCOUNT_ID, QUOTE) == 3


def test_maker_and_taker_pay_their_own_rates() -> None:
    engine = engine_with(resting=[sell(BOB, quantity=10, price=100)], maker_fee=10 * BASIS_POINT, taker_fee=PERCENT)
    events = accepted(engine, buy(ALICE, quantity=10, price=100))
    assert [fill.fee for fill in fills_of(1, events)] == [1]
    assert [fill.fee for fill in fills_of(2, events)] == [10]


def test_seller_receives_the_notional_less_the_fee() -> None:
    engine = engine_with(
        resting=[buy(BOB, quantity=5, price=40)], balances={BOB: {QUOTE: 204}, ALICE: {BASE: 5}}, taker_fee=2 * PERCENT
    )
    accepted(engine, sell(ALICE, quantity=5, price=40))
    assert available(engine, ALICE, QUOTE) == 196
    assert (available(engine, BOB, BASE), available(engine, BOB, QUOTE)) == (5, 4)


def test_order_pays_the_lower_of_its_captured_rate_and_the_current_one() -> None:
    resting = [sell(BOB, quantity=2, price=100)]
    engine = engine_with(resting=resting, maker_fee=2 * PERCENT, taker_fee=2 * PERCENT)
    accepted(engine, update(maker_fee=5 * PERCENT))
    dearer = accepted(engine, buy(ALICE, quantity=1, price=100))
    assert [fill.fee for fill in fills_of(1, dearer)] == [2]
    accepted(engine, update(maker_fee=PERCENT))
    cheaper = accepted(engine, buy(ALICE, quantity=1, price=100))
    assert [fill.fee for fill in fills_of(1, cheaper)] == [1]


def test_rebate_captured_before_a_fee_cut_never_exceeds_what_the_taker_pays() -> None:
    resting = [sell(BOB, quantity=100, price=100)]
    engine = engine_with(resting=resting, maker_fee=-2 * PERCENT, taker_fee=3 * PERCENT)
    accepted(engine, update(maker_fee=0, taker_fee=PERCENT))
    events = accepted(engine, buy(ALICE, quantity=100, price=100))
    # The rebate of 2 % was promised, but the trade brings in 1 %.
    assert [fill.fee for fill in fills_of(1, events)] == [-100]
    assert [fill.fee for fill in fills_of(2, events)] == [100]
    assert available(engine, FEE_ACCOUNT_ID, QUOTE) == 0


def test_amended_order_keeps_the_rates_it_was_accepted_with() -> None:
    engine = engine_with(resting=[buy(ALICE, quantity=1, price=90)], taker_fee=PERCENT)
    accepted(engine, update(taker_fee=9 * PERCENT))
    accepted(engine, sell(BOB, quantity=1, price=100))
    events = accepted(engine, amend(1, ALICE, price=100))
    assert [fill.fee for fill in fills_of(1, events)] == [1]


def test_taker_then_maker_fills_of_one_order_share_one_rounding() -> None:
    engine = engine_with(resting=[sell(BOB, quantity=1, price=50)], maker_fee=PERCENT, taker_fee=PERCENT)
    first = accepted(engine, buy(ALICE, quantity=2, price=50))
    second = accepted(engine, sell(BOB, quantity=1, price=50))
    # 0.50 as taker, 1.00 with the fill as maker.
    assert [fill.fee for fill in fills_of(2, first, second)] == [1, 0]


# ---- what is stated ----------------------------------------------------------------------------


def stated(engine: Engine) -> list[BalanceChanged]:
    """Seal the batch; returns what it states of balances."""
    return [event for _, events in engine.seal().accounts for event in all_of(BalanceChanged, events)]


def test_each_changed_balance_is_stated_once_per_batch_as_its_last_command_left_it() -> None:
    engine = engine_with(resting=[sell(BOB, quantity=1, price=100), sell(BOB, quantity=1, price=101)])
    for _ in range(2):
        assert all_of(BalanceChanged, accepted(engine, buy(ALICE, quantity=1, price=101))) == []
    events = stated(engine)
    names = sorted((event.account_id, event.asset) for event in events)
    assert names == [(ALICE, BASE), (ALICE, QUOTE), (BOB, BASE), (BOB, QUOTE)]
    assert {event.engine_seq for event in events} == {engine.state.sequence}
    assert {(e.account_id, e.asset): e.available for e in events}[ALICE, QUOTE] == str(RICH - 201)
    assert stated(engine) == []


def test_house_accounts_are_stated_last_with_the_sum_of_the_batch() -> None:
    engine = engine_with(resting=[sell(BOB, quantity=3, price=100)], taker_fee=PERCENT)
    for _ in range(3):
        accepted(engine, buy(ALICE, quantity=1, price=100))
    events = stated(engine)
    assert (events[-1].account_id, events[-1].asset, events[-1].available) == (FEE_ACCOUNT_ID, QUOTE, "3")


def test_balance_that_ends_where_it_was_is_not_stated() -> None:
    engine = engine_with()
    accepted(engine, buy(ALICE, quantity=5, price=100, time_in_force=IOC))
    assert stated(engine) == []


def test_external_account_mirrors_deposits_and_may_be_negative() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 500}, BOB: {QUOTE: 70}})
    assert available(engine, EXTERNAL_ACCOUNT_ID, QUOTE) == -570


@pytest.mark.parametrize("amount", [10**30])
def test_amounts_beyond_64_bits_are_exact(amount: int) -> None:
    engine = engine_with(balances={ALICE: {QUOTE: amount}})
    accepted(engine, buy(ALICE, quantity=1, price=1))
    assert available(engine, ALICE, QUOTE) == amount - 1
