"""Orders that wait for a price, against a plain list of them: what fires, in which order, and at what cost."""

import random
from collections.abc import Iterable

import pytest

from app.domain.enums import OrderType
from app.engine.engine import Engine
from app.engine.state import Order
from app.engine.triggers import BookTriggers, TrailGroup, trail_price, trigger_of, watermark_of
from tests.unit.engine.builders import ALICE, SYMBOL, engine_with, order, placed, stop

TRAILING = OrderType.TRAILING_STOP


def waiting_orders(engine: Engine, count: int, seed: int) -> list[Order]:
    """Place orders of all kinds around a price of 1000."""
    rng = random.Random(seed)
    kinds = OrderType.STOP, OrderType.TAKE_PROFIT, TRAILING, TRAILING
    made = []
    for _ in range(count):
        kind, side = rng.choice(kinds), rng.choice(("buy", "sell"))
        if kind is TRAILING:
            command = stop(ALICE, side, 1, type=kind, trailing_offset=rng.choice((1, 2, 5, 20, 60, 2_000)))
        else:
            command = stop(ALICE, side, 1, 1_000 + rng.randint(-60, 60), type=kind)
        made.append(order(engine, placed(engine, command).order_id))
    return made


class PlainList:
    """Compares every order with every price, as the rule says it."""

    def __init__(self, orders: Iterable[Order], start: int) -> None:
        self.best = {each.order_id: start for each in orders}
        self.orders = {each.order_id: each for each in orders}

    def trigger(self, each: Order) -> int:
        offset = each.terms.trailing_offset
        if offset is None:
            assert each.terms.trigger_price is not None
            return each.terms.trigger_price
        best = self.best[each.order_id]
        return best + offset if each.is_buy else max(best - offset, 1)

    def take(self, price: int) -> list[int]:
        fired = []
        for number, each in sorted(self.orders.items()):
            better = min if each.is_buy else max
            self.best[number] = better(self.best[number], price)
            rises = each.is_buy is not (each.terms.type is OrderType.TAKE_PROFIT)
            trigger = self.trigger(each)
            if price >= trigger if rises else price <= trigger:
                fired.append(number)
        for number in fired:
            del self.orders[number]
        return fired


def triggers_of(engine: Engine) -> BookTriggers:
    triggers = engine.state.books[SYMBOL].triggers
    assert triggers is not None
    return triggers


@pytest.mark.parametrize("seed", range(6))
def test_a_random_walk_fires_what_a_plain_list_fires(seed: int) -> None:
    rng = random.Random(seed)
    engine = engine_with(reference_price=1_000)
    orders = waiting_orders(engine, 120, seed)
    triggers, plain = triggers_of(engine), PlainList(orders, 1_000)
    price, fired = 1_000, 0
    for _ in range(300):
        price = max(1, price + rng.choice((-1, -1, 0, 1, 1, rng.randint(-9, 9))))
        expected = plain.take(price)
        is_quiet = triggers.below < price < triggers.above
        found = [] if is_quiet else [each.order_id for each in triggers.take(price)]
        assert found == expected
        fired += len(found)
        for number, each in plain.orders.items():
            assert trigger_of(each) == plain.trigger(each)
            if each.terms.trailing_offset is not None:
                assert watermark_of(each) == plain.best[number]
        if plain.orders and rng.random() < 0.1:
            leaving = plain.orders.pop(rng.choice(list(plain.orders)))
            triggers.remove(leaving)
    assert fired > 60


def test_the_lowest_price_fires_every_trailing_sell() -> None:
    engine = engine_with(reference_price=10)
    placed(engine, stop(ALICE, "sell", 1, type=TRAILING, trailing_offset=10**6))
    triggers = triggers_of(engine)
    assert triggers.take(2) == []
    assert len(triggers.take(1)) == 1


def test_a_price_between_the_nearest_triggers_is_quiet_and_the_triggers_are_not() -> None:
    engine = engine_with(reference_price=100)
    placed(engine, stop(ALICE, "sell", 1, 90))
    placed(engine, stop(ALICE, "buy", 1, 120))
    triggers = triggers_of(engine)
    assert (triggers.below, triggers.above) == (90, 120)
    placed(engine, stop(ALICE, "sell", 1, type=TRAILING, trailing_offset=5))
    assert (triggers.below, triggers.above) == (95, 101)
    assert triggers.take(110) == []
    assert (triggers.below, triggers.above) == (105, 111)


def test_following_a_price_merges_groups_instead_of_moving_every_order() -> None:
    """Each price creates a group; a price that passes all of them leaves one, the largest, with all the orders."""
    engine = engine_with(reference_price=1_000)
    orders = waiting_orders(engine, 0, 0)
    for offset in range(1, 51):
        orders.append(
            order(engine, placed(engine, stop(ALICE, "sell", 1, type=TRAILING, trailing_offset=offset)).order_id)
        )
    groups = {id(group_of(each)) for each in orders}
    assert len(groups) == 1
    largest = group_of(orders[0])
    triggers = triggers_of(engine)
    for price in range(1_001, 1_100):
        assert triggers.take(price) == []
        assert group_of(orders[0]) is largest
    assert largest.watermark == 1_099
    assert trigger_of(orders[49]) == 1_049


def group_of(each: Order) -> TrailGroup:
    assert each.extras is not None
    assert each.extras.trails_in is not None
    return each.extras.trails_in


@pytest.mark.parametrize(
    ("watermark", "distance", "direction", "expected"), [(100, 10, 1, 90), (100, 200, 1, 1), (100, 10, -1, 110)]
)
def test_trail_price(watermark: int, distance: int, direction: int, expected: int) -> None:
    assert trail_price(watermark, distance, direction) == expected


def test_no_cycle_stays_behind_when_an_order_stops_trailing() -> None:
    """The engine runs without the garbage collector."""
    engine = engine_with(reference_price=100)
    placed(engine, stop(ALICE, "sell", 1, type=TRAILING, trailing_offset=5))
    each = order(engine, 1)
    triggers_of(engine).take(10)
    assert each.extras is not None
    assert (each.extras.trails_in, each.extras.trigger_price, each.extras.waits) == (None, 95, False)
