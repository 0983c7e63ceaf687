"""Each invariant of positions, turnover and the origin of money finds the damage it is there for."""

from collections.abc import Callable

import pytest

from app.domain.commands import SetFeeTiers
from app.engine import invariants
from app.engine.engine import Engine
from app.engine.positions import VOLUME_DAYS, Position, Turnover
from app.engine.state import DAY_NS
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    NOON_NS,
    PERCENT,
    QUOTE,
    SYMBOL,
    accepted,
    buy,
    closing,
    engine_with,
    sell,
    trade_at,
)


def lively() -> Engine:
    """Return an engine with positions and fees of two days, reduce-only and other orders, and fee tiers."""
    engine = engine_with(maker_fee=PERCENT, taker_fee=2 * PERCENT)
    accepted(engine, SetFeeTiers(QUOTE, (("5", 0, PERCENT),)))
    trade_at(engine, 100, 10, maker=BOB, taker=ALICE)
    engine.seal()
    engine.begin(NOON_NS + DAY_NS)
    trade_at(engine, 101, 2, maker=BOB, taker=ALICE)
    for order in (closing(4), closing(5), buy(ALICE, quantity=3, price=90), sell(BOB, quantity=2, price=120)):
        accepted(engine, order)
    engine.seal()
    return engine


def position(engine: Engine, account_id: int = ALICE) -> Position:
    return engine.state.accounts[account_id].positions[SYMBOL]


def turnover(engine: Engine) -> Turnover:
    return engine.state.accounts[ALICE].turnovers[QUOTE]


def test_sound_state_passes() -> None:
    invariants.check(lively().state)


def forgotten_transfer(engine: Engine) -> None:
    del engine.state.transfers[ALICE, f"seed-{QUOTE}"]


def money_of_another(engine: Engine) -> None:
    engine.state.accounts[ALICE].balance(QUOTE).available -= 1
    engine.state.accounts[BOB].balance(QUOTE).available += 1


def lots_of_another(engine: Engine) -> None:
    engine.state.accounts[ALICE].balance(BASE).available -= 1
    engine.state.accounts[BOB].balance(BASE).available += 1


def profit_from_nowhere(engine: Engine) -> None:
    position(engine).realized += 1
    position(engine).stated = position(engine).figures


def fee_from_nowhere(engine: Engine) -> None:
    position(engine).fees += 1
    position(engine).stated = position(engine).figures


def position_of_nobody_else(engine: Engine) -> None:
    position(engine).net += 1
    position(engine).stated = position(engine).figures


def position_not_stated(engine: Engine) -> None:
    position(engine).fees -= 1


def negative_cost(engine: Engine) -> None:
    position(engine).cost = -1
    position(engine).stated = position(engine).figures


def open_buys_of_nothing(engine: Engine) -> None:
    position(engine).buying += 1


def open_order_too_many(engine: Engine) -> None:
    position(engine).open_orders += 1


def open_notional_of_nothing(engine: Engine) -> None:
    turnover(engine).open_notional += 1


def reduce_only_lots_too_many(engine: Engine) -> None:
    reducing = position(engine).reducing
    assert reducing is not None
    reducing[False].lots += 1


def reduce_only_order_not_counted(engine: Engine) -> None:
    reducing = position(engine).reducing
    assert reducing is not None
    order = engine.state.orders[5]
    order.remaining, remaining = 0, order.remaining
    reducing[False].count(order)
    order.remaining = remaining


def reduce_only_orders_forgotten(engine: Engine) -> None:
    position(engine).reducing = None


def volume_of_nothing(engine: Engine) -> None:
    turnover(engine).volume += 1


def day_too_old(engine: Engine) -> None:
    found = turnover(engine)
    found.days[found.day - VOLUME_DAYS - 1] = 0


def day_of_the_future(engine: Engine) -> None:
    turnover(engine).day += 1


def tiers_the_book_does_not_know(engine: Engine) -> None:
    engine.state.books[SYMBOL].set_tiers(())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (forgotten_transfer, "from transfers and prints"),
        (money_of_another, f"account {ALICE} {QUOTE}: expected .* from transfers and prints"),
        (lots_of_another, f"account {ALICE} {BASE}: expected .* from transfers and prints"),
        (profit_from_nowhere, "from transfers and prints"),
        (fee_from_nowhere, "from transfers and prints"),
        (position_of_nobody_else, "expected all positions to add up to 0, was 1"),
        (position_not_stated, "not stated"),
        (negative_cost, "cost -1 of net 12"),
        (open_buys_of_nothing, r"expected open buys and sells \[3, 9\], were \[4, 9\]"),
        (open_order_too_many, "expected 3 open orders, were 4"),
        (open_notional_of_nothing, "expected open notional"),
        (reduce_only_lots_too_many, "wrong sum of reduce-only lots"),
        (reduce_only_order_not_counted, "expected reduce-only lots {5: 4, 6: 5}, were {6: 5}"),
        (reduce_only_orders_forgotten, "reduce-only orders"),
        (volume_of_nothing, "expected volume 1000, was 1001"),
        (day_too_old, "days {"),
        (day_of_the_future, "has not begun"),
        (tiers_the_book_does_not_know, "other fee tiers"),
    ],
)
def test_damage_is_found(damage: Callable[[Engine], None], message: str) -> None:
    engine = lively()
    damage(engine)
    with pytest.raises(AssertionError, match=message):
        invariants.check(engine.state)
