"""Reduce-only: an order never enlarges its position, and ends when the position has no room for it any more."""

import pytest

from app.domain.commands import Command, CreateInstrument, PlaceBatch, PlaceOrder, UpdateAccount
from app.domain.enums import AccountStatus, OrderType
from app.domain.events import OrderCanceled, Rejection
from app.engine import invariants
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    FOK,
    IOC,
    NOON_NS,
    QUOTE,
    accepted,
    all_of,
    amend,
    asks,
    bids,
    buy,
    cancel,
    engine_with,
    order,
    placed,
    refused,
    sell,
    stop,
    tick,
    trade_at,
    twin_of,
)


def long(quantity: int = 10) -> Engine:
    """Return an engine in which Alice bought so many lots from Bob."""
    engine = engine_with()
    trade_at(engine, 100, quantity, maker=BOB, taker=ALICE)
    engine.seal()
    return engine


def short(quantity: int = 10) -> Engine:
    """Return an engine in which Bob sold so many lots to Alice; it is Bob's position that counts."""
    return long(quantity)


def closing(quantity: int, price: int = 110, **terms: object) -> PlaceOrder:
    """Return a reduce-only sell of Alice's."""
    return sell(ALICE, quantity=quantity, price=price, reduce_only=True, **terms)


def refusal(rejection: Rejection) -> tuple[str, str | None, str | None, str | None, str | None]:
    return rejection.reason, rejection.field, rejection.limit, rejection.actual, rejection.unit


def would_increase(limit: int, actual: int) -> tuple[str, None, str, str, str]:
    return "reduce_only_would_increase", None, str(limit), str(actual), "lots"


def canceled(events: object) -> list[tuple[int, str | None]]:
    """Return the orders that a command canceled, and why."""
    return [(event.order.order_id, event.order.reason) for event in all_of(OrderCanceled, events)]  # type: ignore[arg-type]


# ---- acceptance --------------------------------------------------------------------------------


def test_sell_may_have_what_is_held_and_not_a_lot_more() -> None:
    engine = long(10)
    assert refusal(refused(engine, closing(11))) == would_increase(10, 11)
    assert placed(engine, closing(10)).status == "open"


def test_buy_may_have_what_was_sold_short() -> None:
    engine = short(10)
    assert refusal(refused(engine, buy(BOB, quantity=11, price=90, reduce_only=True))) == would_increase(10, 11)
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
    assert refusal(refused(long(), command)) == would_increase(0, 1)


def test_open_reduce_only_orders_of_the_side_count_and_others_do_not() -> None:
    engine = long(10)
    accepted(engine, sell(ALICE, quantity=9, price=120))
    accepted(engine, closing(6))
    assert refusal(refused(engine, closing(5))) == would_increase(4, 5)
    accepted(engine, closing(4))
    assert refusal(refused(engine, closing(1))) == would_increase(0, 1)


def test_order_that_ended_leaves_its_room() -> None:
    engine = long(10)
    first = placed(engine, closing(6)).order_id
    accepted(engine, cancel(first, ALICE))
    assert placed(engine, closing(10)).status == "open"


def test_position_of_another_instrument_is_no_room() -> None:
    engine = long(10)
    accepted(engine, CreateInstrument("AAA", BASE, QUOTE, "1", "1"))
    assert refusal(refused(engine, closing(1, symbol="AAA"))) == would_increase(0, 1)


@pytest.mark.parametrize("time_in_force", [IOC, FOK])
def test_taking_order_closes_the_position(time_in_force: object) -> None:
    engine = long(10)
    accepted(engine, buy(CAROL, quantity=10, price=99))
    assert refusal(refused(engine, closing(11, 99, time_in_force=time_in_force))) == would_increase(10, 11)
    assert placed(engine, closing(10, 99, time_in_force=time_in_force)).status == "filled"
    assert engine.state.accounts[ALICE].positions["BTC-USD"].net == 0


def test_market_order_closes_the_position() -> None:
    engine = long(10)
    accepted(engine, buy(CAROL, quantity=20, price=99))
    assert refusal(refused(engine, sell(ALICE, quantity=11, reduce_only=True))) == would_increase(10, 11)
    assert placed(engine, sell(ALICE, quantity=10, reduce_only=True)).status == "filled"


def test_market_buy_by_money_cannot_be_reduce_only() -> None:
    engine = short(10)
    accepted(engine, sell(CAROL, quantity=5, price=100))
    rejection = refused(engine, buy(BOB, quantity=0, quote_quantity=100, reduce_only=True))
    assert (rejection.reason, rejection.field) == ("invalid_request", "reduce_only")


# ---- accounts that may only reduce -------------------------------------------------------------


def test_account_that_may_only_reduce_is_held_to_its_position_without_the_flag() -> None:
    engine = long(10)
    accepted(engine, UpdateAccount(ALICE, AccountStatus.REDUCE_ONLY))
    assert refusal(refused(engine, buy(ALICE, quantity=1, price=90))) == would_increase(0, 1)
    assert refusal(refused(engine, sell(ALICE, quantity=11, price=110))) == would_increase(10, 11)
    assert not placed(engine, sell(ALICE, quantity=10, price=110)).terms.reduce_only


def test_account_that_may_only_reduce_cannot_spend_money() -> None:
    engine = short(10)
    accepted(engine, sell(CAROL, quantity=5, price=100))
    accepted(engine, UpdateAccount(BOB, AccountStatus.REDUCE_ONLY))
    assert refusal(refused(engine, buy(BOB, quantity=0, quote_quantity=100))) == would_increase(0, 0)


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
    assert refusal(refused(engine, amend(moving, ALICE, quantity=8))) == would_increase(7, 8)
    accepted(engine, amend(moving, ALICE, quantity=7))
    accepted(engine, amend(moving, ALICE, quantity=2))
    assert placed(engine, closing(5)).status == "open"


def test_amend_counts_what_is_left_of_the_order() -> None:
    engine = long(10)
    moving = placed(engine, closing(10)).order_id
    accepted(engine, buy(CAROL, quantity=4, price=110))
    assert refusal(refused(engine, amend(moving, ALICE, quantity=11))) == would_increase(6, 7)
    assert accepted(engine, amend(moving, ALICE, price=111))


def test_amend_of_an_unflagged_order_is_held_to_it_while_the_account_may_only_reduce() -> None:
    engine = long(10)
    moving = placed(engine, sell(ALICE, quantity=20, price=110)).order_id
    accepted(engine, UpdateAccount(ALICE, AccountStatus.REDUCE_ONLY))
    assert refusal(refused(engine, amend(moving, ALICE, price=111))) == would_increase(10, 20)
    accepted(engine, amend(moving, ALICE, quantity=15))
    accepted(engine, amend(moving, ALICE, quantity=10, price=111))


# ---- a position that shrinks -------------------------------------------------------------------


def test_newest_orders_end_whole_until_the_rest_fits() -> None:
    engine = long(10)
    for quantity in (4, 3, 3):
        accepted(engine, closing(quantity))
    accepted(engine, buy(CAROL, quantity=2, price=99))
    # 10 less 4: of 4, 3 and 3 the first stays.
    events = accepted(engine, sell(ALICE, quantity=2, price=99))
    assert canceled(events) == [(5, "reduce_only")]
    accepted(engine, buy(CAROL, quantity=1, price=99))
    assert canceled(accepted(engine, sell(ALICE, quantity=1, price=99))) == []
    accepted(engine, buy(CAROL, quantity=1, price=99))
    assert canceled(accepted(engine, sell(ALICE, quantity=1, price=99))) == [(4, "reduce_only")]
    assert asks(engine) == [(110, 4)]
    invariants.check(engine.state)


def test_own_fills_leave_the_others_alone() -> None:
    engine = long(10)
    for quantity in (4, 6):
        accepted(engine, closing(quantity))
    events = accepted(engine, buy(CAROL, quantity=7, price=110))
    assert canceled(events) == []
    assert asks(engine) == [(110, 3)]


def test_position_through_zero_ends_them_all() -> None:
    engine = long(10)
    for quantity in (4, 6):
        accepted(engine, closing(quantity))
    accepted(engine, buy(CAROL, quantity=15, price=99))
    events = accepted(engine, sell(ALICE, quantity=15, price=99))
    assert canceled(events) == [(4, "reduce_only"), (3, "reduce_only")]
    assert asks(engine) == []


def test_position_that_grows_ends_none() -> None:
    engine = long(10)
    accepted(engine, closing(10))
    assert canceled(trade_at(engine, 105, 5, maker=BOB, taker=ALICE)) == []


def test_owner_that_only_rested_is_trimmed_too() -> None:
    engine = long(10)
    accepted(engine, closing(10, 120))
    accepted(engine, sell(ALICE, quantity=5, price=105))
    events = accepted(engine, buy(CAROL, quantity=5, price=105))
    assert canceled(events) == [(3, "reduce_only")]


def test_accounts_are_trimmed_in_their_order_and_buys_before_sells() -> None:
    engine = long(10)
    accepted(engine, buy(BOB, quantity=10, price=90, reduce_only=True))
    accepted(engine, closing(10))
    # Both close a part by other orders of theirs.
    accepted(engine, buy(BOB, quantity=3, price=100))
    events = accepted(engine, sell(ALICE, quantity=3, price=100))
    assert canceled(events) == [(4, "reduce_only"), (3, "reduce_only")]
    assert (bids(engine), asks(engine)) == ([], [])


def test_buys_end_before_sells_where_a_batch_turned_the_position_twice() -> None:
    engine = long(10)
    accepted(engine, closing(10, 120))
    accepted(engine, buy(CAROL, quantity=15, price=99))
    accepted(engine, sell(CAROL, quantity=3, price=100))
    orders = (
        sell(ALICE, quantity=15, price=99, client_order_id="a"),
        buy(ALICE, quantity=5, price=90, reduce_only=True, client_order_id="b"),
        buy(ALICE, quantity=3, price=100, client_order_id="c"),
    )
    events = accepted(engine, PlaceBatch(ALICE, orders, atomic=False))
    assert canceled(events) == [(7, "reduce_only"), (3, "reduce_only")]


def test_answer_shows_the_book_without_what_was_trimmed() -> None:
    engine = long(10)
    accepted(engine, closing(10, 101))
    accepted(engine, buy(CAROL, quantity=4, price=100))
    accepted(engine, sell(ALICE, quantity=3, price=100))
    top = engine.outcome.book
    assert top is not None
    assert (top.bid, top.ask) == (100, 0)
    engine.seal()
    assert top.seq == engine.state.books["BTC-USD"].seq


def test_answer_to_a_batch_shows_its_own_order_as_trimmed() -> None:
    engine = long(10)
    accepted(engine, buy(CAROL, quantity=4, price=100))
    first = closing(10, 101, client_order_id="a")
    accepted(engine, PlaceBatch(ALICE, (first, sell(ALICE, quantity=4, price=100, client_order_id="b")), atomic=False))
    shown = engine.outcome.results[0].order
    assert shown is not None
    assert (shown.status, shown.reason) == ("canceled", "reduce_only")


def test_room_is_counted_by_instrument() -> None:
    engine = long(10)
    accepted(engine, CreateInstrument("AAA", BASE, QUOTE, "1", "1"))
    accepted(engine, sell(BOB, quantity=10, price=50, symbol="AAA"))
    accepted(engine, buy(ALICE, quantity=10, price=50, symbol="AAA"))
    accepted(engine, closing(10))
    accepted(engine, buy(CAROL, quantity=10, price=49, symbol="AAA"))
    assert canceled(accepted(engine, sell(ALICE, quantity=10, price=49, symbol="AAA"))) == []


def test_many_orders_are_trimmed_after_one_sweep() -> None:
    engine = long(5_000)
    for _ in range(4_990):
        accepted(engine, closing(1, 150))
    for _ in range(500):
        accepted(engine, buy(CAROL, quantity=1, price=99))
    events = accepted(engine, sell(ALICE, quantity=500, price=99))
    assert len(canceled(events)) == 490
    assert asks(engine) == [(150, 4_500)]
    invariants.check(engine.state)


# ---- triggers ----------------------------------------------------------------------------------


def stop_loss(quantity: int, trigger_price: int = 95, **terms: object) -> PlaceOrder:
    """Return a reduce-only stop of Alice's."""
    return stop(ALICE, "sell", quantity, trigger_price, reduce_only=True, **terms)


def test_waiting_stop_takes_up_room_and_closes_when_it_fires() -> None:
    engine = long(10)
    waiting = placed(engine, stop_loss(10)).order_id
    assert refusal(refused(engine, closing(1))) == would_increase(0, 1)
    accepted(engine, buy(CAROL, quantity=20, price=94))
    trade_at(engine, 95, maker=BOB, taker=CAROL)
    tick(engine)
    assert order(engine, waiting).status == "filled"


def test_waiting_stop_is_trimmed() -> None:
    engine = long(10)
    waiting = placed(engine, stop_loss(10)).order_id
    accepted(engine, buy(CAROL, quantity=1, price=99))
    assert canceled(accepted(engine, sell(ALICE, quantity=1, price=99))) == [(waiting, "reduce_only")]


def test_fired_stop_that_finds_the_position_smaller_is_canceled_not_run() -> None:
    """Both stops run in one Tick: the first, which may do as it likes, sells what the second was to protect."""
    engine = long(10)
    first = placed(engine, stop(ALICE, "sell", 4, 95)).order_id
    second = placed(engine, stop_loss(10)).order_id
    accepted(engine, buy(CAROL, quantity=20, price=94))
    trade_at(engine, 95, maker=BOB, taker=CAROL)
    events = tick(engine)
    assert (order(engine, first).status, canceled(events)) == ("filled", [(second, "reduce_only")])


def test_fired_stop_of_an_account_that_may_only_reduce_by_now_is_held_to_it() -> None:
    engine = long(10)
    waiting = placed(engine, stop(ALICE, "sell", 11, 95)).order_id
    accepted(engine, UpdateAccount(ALICE, AccountStatus.REDUCE_ONLY))
    accepted(engine, buy(CAROL, quantity=20, price=94))
    trade_at(engine, 95, maker=BOB, taker=CAROL)
    assert canceled(tick(engine)) == [(waiting, "reduce_only")]


# ---- checkpoint --------------------------------------------------------------------------------

LATER: list[Command] = [
    closing(3),
    buy(CAROL, quantity=5, price=99),
    sell(ALICE, quantity=5, price=99),
    closing(9),
]


def test_restored_engine_counts_and_trims_the_same() -> None:
    engine = long(10)
    accepted(engine, closing(4))
    accepted(engine, stop_loss(2))
    accepted(engine, buy(CAROL, quantity=1, price=110))
    engine.seal()
    twin = twin_of(engine)
    invariants.check(twin.state)
    for command in LATER:
        for each in (engine, twin):
            each.begin(NOON_NS + 1)
        assert twin.apply(command) == engine.apply(command)
        assert twin.outcome == engine.outcome
        assert twin.seal() == engine.seal()
        invariants.check(twin.state)
    assert twin.state_hash() == engine.state_hash()


@pytest.mark.parametrize("type_", [OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT, OrderType.LIMIT])
def test_every_type_that_rests_may_be_reduce_only(type_: OrderType) -> None:
    trigger = None if type_ is OrderType.LIMIT else 120
    accepted(long(10), closing(10, 110, type=type_, trigger_price=trigger))
