"""Reduce-only: orders end when their position has no room for them any more, by prints of others or before they run."""

from typing import Any

from app.domain.commands import Command, CreateInstrument, PlaceBatch, PlaceOrder, UpdateAccount
from app.domain.enums import AccountStatus
from app.engine import invariants
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    NOON_NS,
    QUOTE,
    accepted,
    asks,
    bids,
    buy,
    canceled,
    closing,
    long,
    order,
    placed,
    refused,
    sell,
    stop,
    tick,
    trade_at,
    twin_of,
    would_increase,
)

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


def stop_loss(quantity: int, trigger_price: int = 95, **terms: Any) -> PlaceOrder:
    """Return a reduce-only stop of Alice's."""
    return stop(ALICE, "sell", quantity, trigger_price, reduce_only=True, **terms)


def test_waiting_stop_takes_up_room_and_closes_when_it_fires() -> None:
    engine = long(10)
    waiting = placed(engine, stop_loss(10)).order_id
    assert refused(engine, closing(1)) == would_increase(0, 1)
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
