"""Each invariant finds the damage it is there for."""

from collections.abc import Callable

import msgspec
import pytest

from app.domain.commands import PlaceList
from app.domain.enums import ListKind, OrderStatus
from app.engine import invariants
from app.engine.engine import Engine
from app.engine.links import Link, link_of
from tests.unit.engine.builders import ALICE, BASE, BOB, QUOTE, SYMBOL, buy, cancel, engine_with, order, sell, stop


def lively() -> Engine:
    engine = engine_with(
        resting=[
            buy(BOB, quantity=5, price=99),
            buy(ALICE, quantity=5, price=99),
            buy(ALICE, quantity=5, price=98),
            sell(BOB, quantity=5, price=101),
            sell(BOB, quantity=1, price=103),
        ]
    )
    engine.apply(sell(ALICE, quantity=2, price=99))
    engine.apply(cancel(5))
    engine.seal()
    return engine


def damaged(engine: Engine, order_id: int, **fields: object) -> None:
    """Let an order say something else of itself."""
    found = order(engine, order_id)
    found.state = msgspec.structs.replace(found.state, **fields)


def test_sound_state_passes() -> None:
    invariants.check(lively().state)


def negative_available(engine: Engine) -> None:
    engine.state.accounts[ALICE].balance(QUOTE).available = -1


def money_from_nowhere(engine: Engine) -> None:
    engine.state.accounts[ALICE].balance(QUOTE).available += 1


def hold_without_order(engine: Engine) -> None:
    balance = engine.state.accounts[ALICE].balance(BASE)
    balance.held += 1
    balance.available -= 1


def order_hold_too_small(engine: Engine) -> None:
    order(engine, 2).held -= 1


def ended_order_still_holds(engine: Engine) -> None:
    order(engine, 5).held = 1


def crossed(engine: Engine) -> None:
    asks = engine.state.books[SYMBOL].asks
    assert asks.best is not None
    asks.best.price = 99


def wrong_level_sum(engine: Engine) -> None:
    engine.state.books[SYMBOL].bids.levels[99].quantity += 1


def wrong_best(engine: Engine) -> None:
    bids = engine.state.books[SYMBOL].bids
    bids.best = bids.levels[98]


def wrong_tail(engine: Engine) -> None:
    level = engine.state.books[SYMBOL].bids.levels[99]
    level.tail = level.head


def broken_link(engine: Engine) -> None:
    order(engine, 2).ahead = None


def wrong_level(engine: Engine) -> None:
    order(engine, 2).level = engine.state.books[SYMBOL].bids.levels[98]


def level_at_another_price(engine: Engine) -> None:
    engine.state.books[SYMBOL].bids.levels[98].price = 97


def open_order_not_listed(engine: Engine) -> None:
    damaged(engine, 5, status=OrderStatus.OPEN)


def ended_order_in_the_book(engine: Engine) -> None:
    order(engine, 5).level = engine.state.books[SYMBOL].bids.levels[99]


def overfilled(engine: Engine) -> None:
    damaged(engine, 5, filled_quantity=2)


def wrong_remaining(engine: Engine) -> None:
    order(engine, 5).remaining = 1


def other_price(engine: Engine) -> None:
    damaged(engine, 2, price=97)


def stale_bounds(engine: Engine) -> None:
    engine.state.books[SYMBOL].bounds.quantity_high += 1


def filled_without_quantity(engine: Engine) -> None:
    damaged(engine, 5, status=OrderStatus.FILLED)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (negative_available, "negative available -1"),
        (money_from_nowhere, "expected all balances to add up to 0, was 1"),
        (hold_without_order, "expected held 0, was 1"),
        (order_hold_too_small, "order 2: expected hold 495, was 494"),
        (ended_order_still_holds, "still holds 1"),
        (crossed, "is crossed"),
        (wrong_level_sum, "expected 8, was 9"),
        (wrong_best, "wrong best level"),
        (wrong_tail, "wrong tail"),
        (broken_link, "broken queue at order 2"),
        (wrong_level, "order 2 names another level"),
        (level_at_another_price, "price order"),
        (open_order_not_listed, "wrong in open_orders"),
        (ended_order_in_the_book, "wrong in the book"),
        (overfilled, "filled 2 of 1"),
        (wrong_remaining, "expected remaining 0, was 1"),
        (other_price, "expected price 97, was 99"),
        (stale_bounds, "bounds of other rules or prices"),
        (filled_without_quantity, "status and quantity differ"),
    ],
)
def test_damage_is_found(damage: Callable[[Engine], None], message: str) -> None:
    engine = lively()
    damage(engine)
    with pytest.raises(AssertionError, match=message):
        invariants.check(engine.state)


def with_lists() -> Engine:
    """Return an engine with a bracket whose entry traded in part, and a pair: orders 1 to 3, 5 and 6."""
    engine = engine_with()
    orders = buy(BOB, quantity=5, price=99), sell(BOB, quantity=5, price=110), stop(BOB, "sell", 5, 80)
    engine.apply(PlaceList(BOB, ListKind.BRACKET, orders))
    engine.apply(sell(ALICE, quantity=2, price=99))
    pair = buy(BOB, quantity=5, price=90), buy(BOB, quantity=5, price=91)
    engine.apply(PlaceList(BOB, ListKind.OCO, pair))
    engine.seal()
    invariants.check_lists(engine.state)
    return engine


def link(engine: Engine, order_id: int) -> Link:
    found = link_of(order(engine, order_id))
    assert found is not None
    return found


def forgotten_list(engine: Engine) -> None:
    damaged(engine, 2, order_list_id=None)


def list_of_the_future(engine: Engine) -> None:
    engine.state.last_order_list_id = 1


def one_sided_pair(engine: Engine) -> None:
    link(engine, 5).peer = None


def pair_that_holds_twice(engine: Engine) -> None:
    order(engine, 5).held = 450


def child_that_grew_too_little(engine: Engine) -> None:
    link(engine, 2).granted = 1


def child_that_does_not_know_its_parent(engine: Engine) -> None:
    link(engine, 2).order_list.filled = 1


def pending_child_that_follows(engine: Engine) -> None:
    damaged(engine, 3, status=OrderStatus.PENDING)


def orphan(engine: Engine) -> None:
    damaged(engine, 1, filled_quantity=0)
    link(engine, 1).order_list.filled = link(engine, 2).granted = link(engine, 3).granted = 0
    damaged(engine, 2, status=OrderStatus.PENDING)
    del engine.state.accounts[BOB].open_orders[1]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (forgotten_list, "says list None, is in 1"),
        (list_of_the_future, "in a list of the future"),
        (one_sided_pair, "paired with the wrong order"),
        (pair_that_holds_twice, "its pair holds twice"),
        (child_that_grew_too_little, "expected to follow 2 lots, was 1"),
        (child_that_does_not_know_its_parent, "expected its parent to have 2, was 1"),
        (pending_child_that_follows, "follows 2 lots"),
        (orphan, "its parent ended"),
    ],
)
def test_damage_to_a_list_is_found(damage: Callable[[Engine], None], message: str) -> None:
    engine = with_lists()
    damage(engine)
    with pytest.raises(AssertionError, match=message):
        invariants.check_lists(engine.state)
