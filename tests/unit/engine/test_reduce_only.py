"""Reduce-only: an order never enlarges its position, when it is placed and when it is amended."""

import pytest

from app.domain.commands import CreateInstrument, PlaceOrder, UpdateAccount
from app.domain.enums import AccountStatus, OrderType, TimeInForce
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    FOK,
    IOC,
    QUOTE,
    accepted,
    amend,
    buy,
    cancel,
    closing,
    long,
    order,
    placed,
    refused,
    sell,
    would_increase,
)

# ---- acceptance --------------------------------------------------------------------------------


def test_sell_may_have_what_is_held_and_not_a_lot_more() -> None:
    engine = long(10)
    assert refused(engine, closing(11)) == would_increase(10, 11)
    assert placed(engine, closing(10)).status == "open"


def test_buy_may_have_what_was_sold_long() -> None:
    engine = long(10)
    assert refused(engine, buy(BOB, quantity=11, price=90, reduce_only=True)) == would_increase(10, 11)
    assert placed(engine, buy(BOB, quantity=10, price=90, reduce_only=True)).status == "open"


@pytest.mark.parametrize(
    "command",
    [
        buy(ALICE, quantity=1, price=90, reduce_only=True),
        sell(BOB, quantity=1, price=110, reduce_only=True),
        sell(CAROL, quantity=1, price=110, reduce_only=True),
        buy(CAROL, quantity=1, price=90, reduce_only=True),
    ],
    ids=["long buys", "short sells", "nothing to sell", "nothing to buy"],
)
def test_order_that_would_enlarge_a_position_is_refused(command: PlaceOrder) -> None:
    assert refused(long(), command) == would_increase(0, 1)


def test_open_reduce_only_orders_of_the_side_count_and_others_do_not() -> None:
    engine = long(10)
    accepted(engine, sell(ALICE, quantity=9, price=120))
    accepted(engine, closing(6))
    assert refused(engine, closing(5)) == would_increase(4, 5)
    accepted(engine, closing(4))
    assert refused(engine, closing(1)) == would_increase(0, 1)


def test_order_that_ended_leaves_its_room() -> None:
    engine = long(10)
    first = placed(engine, closing(6)).order_id
    accepted(engine, cancel(first, ALICE))
    assert placed(engine, closing(10)).status == "open"


def test_position_of_another_instrument_is_no_room() -> None:
    engine = long(10)
    accepted(engine, CreateInstrument("AAA", BASE, QUOTE, "1", "1"))
    assert refused(engine, closing(1, symbol="AAA")) == would_increase(0, 1)


@pytest.mark.parametrize("time_in_force", [IOC, FOK])
def test_taking_order_closes_the_position(time_in_force: TimeInForce) -> None:
    engine = long(10)
    accepted(engine, buy(CAROL, quantity=10, price=99))
    assert refused(engine, closing(11, 99, time_in_force=time_in_force)) == would_increase(10, 11)
    assert placed(engine, closing(10, 99, time_in_force=time_in_force)).status == "filled"
    assert engine.state.accounts[ALICE].positions["BTC-USD"].net == 0


def test_market_order_closes_the_position() -> None:
    engine = long(10)
    accepted(engine, buy(CAROL, quantity=20, price=99))
    assert refused(engine, sell(ALICE, quantity=11, reduce_only=True)) == would_increase(10, 11)
    assert placed(engine, sell(ALICE, quantity=10, reduce_only=True)).status == "filled"


def test_market_buy_by_money_cannot_be_reduce_only() -> None:
    engine = long(10)
    accepted(engine, sell(CAROL, quantity=5, price=100))
    rejection = refused(engine, buy(BOB, quantity=0, quote_quantity=100, reduce_only=True))
    assert (rejection.reason, rejection.field) == ("invalid_request", "reduce_only")


# ---- accounts that may only reduce -------------------------------------------------------------


def test_account_that_may_only_reduce_is_held_to_its_position_without_the_flag() -> None:
    engine = long(10)
    accepted(engine, UpdateAccount(ALICE, AccountStatus.REDUCE_ONLY))
    assert refused(engine, buy(ALICE, quantity=1, price=90)) == would_increase(0, 1)
    assert refused(engine, sell(ALICE, quantity=11, price=110)) == would_increase(10, 11)
    assert not placed(engine, sell(ALICE, quantity=10, price=110)).terms.reduce_only


def test_account_that_may_only_reduce_cannot_spend_money() -> None:
    engine = long(10)
    accepted(engine, sell(CAROL, quantity=5, price=100))
    accepted(engine, UpdateAccount(BOB, AccountStatus.REDUCE_ONLY))
    assert refused(engine, buy(BOB, quantity=0, quote_quantity=100)) == would_increase(0, 0)


def test_orders_from_before_stay_and_fill() -> None:
    engine = long(10)
    resting = placed(engine, buy(ALICE, quantity=5, price=90)).order_id
    accepted(engine, UpdateAccount(ALICE, AccountStatus.REDUCE_ONLY))
    accepted(engine, sell(BOB, quantity=5, price=90))
    assert order(engine, resting).status == "filled"


def test_reactivated_account_trades_as_it_likes() -> None:
    engine = long(10)
    for status in (AccountStatus.REDUCE_ONLY, AccountStatus.ACTIVE):
        accepted(engine, UpdateAccount(ALICE, status))
    assert placed(engine, buy(ALICE, quantity=1, price=90)).status == "open"


def test_status_of_the_account_comes_after_frozen_and_before_the_form() -> None:
    engine = long(10)
    accepted(engine, UpdateAccount(ALICE, AccountStatus.FROZEN))
    assert refused(engine, closing(11, expire_ns=1)).reason == "account_frozen"
    accepted(engine, UpdateAccount(ALICE, AccountStatus.ACTIVE))
    assert refused(engine, closing(11, expire_ns=1)).reason == "reduce_only_would_increase"
    assert refused(engine, closing(10, expire_ns=1)).reason == "invalid_request"


# ---- amends ------------------------------------------------------------------------------------


def test_amend_is_held_to_the_room_that_the_order_itself_leaves() -> None:
    engine = long(10)
    accepted(engine, closing(3))
    moving = placed(engine, closing(5)).order_id
    assert refused(engine, amend(moving, ALICE, quantity=8)) == would_increase(7, 8)
    accepted(engine, amend(moving, ALICE, quantity=7))
    accepted(engine, amend(moving, ALICE, quantity=2))
    assert placed(engine, closing(5)).status == "open"


def test_amend_counts_what_is_left_of_the_order() -> None:
    engine = long(10)
    moving = placed(engine, closing(10)).order_id
    accepted(engine, buy(CAROL, quantity=4, price=110))
    assert refused(engine, amend(moving, ALICE, quantity=11)) == would_increase(6, 7)
    assert accepted(engine, amend(moving, ALICE, price=111))


def test_amend_of_an_unflagged_order_is_held_to_it_while_the_account_may_only_reduce() -> None:
    engine = long(10)
    moving = placed(engine, sell(ALICE, quantity=20, price=110)).order_id
    accepted(engine, UpdateAccount(ALICE, AccountStatus.REDUCE_ONLY))
    assert refused(engine, amend(moving, ALICE, price=111)) == would_increase(10, 20)
    accepted(engine, amend(moving, ALICE, quantity=15))
    accepted(engine, amend(moving, ALICE, quantity=10, price=111))


@pytest.mark.parametrize("type_", [OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT, OrderType.LIMIT])
def test_every_type_that_rests_may_be_reduce_only(type_: OrderType) -> None:
    trigger = None if type_ is OrderType.LIMIT else 120
    accepted(long(10), closing(10, 110, type=type_, trigger_price=trigger))
