"""For each limit of domain.limits: how an account comes to it, and what is refused beyond it.

A limit is one number on three levels, so a case says what it is set to and leaves the level open.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from app.domain.commands import Command, PlaceOrder, SetLimits, UpdateAccount
from app.engine.controls import RATIO_FREE_ORDERS
from app.engine.engine import Engine
from tests.controls.steps import SECOND_NS, Later, Refused, Step
from tests.unit.engine.builders import (
    ALICE,
    BOB,
    CAROL,
    QUOTE,
    accepted,
    buy,
    cancel,
    engine_with,
    instrument_command,
    sell,
    trade_at,
)

OTHER = "BTC-OTHER"
TIER = "small"
LEVELS = ("exchange", "tier", "account")


class LimitCase(NamedTuple):
    """A limit at `limit`: every step passes, the last of them at the limit; `beyond` would come to `actual`."""

    control: str
    limit: int
    steps: tuple[Step, ...]
    beyond: PlaceOrder
    actual: int
    unit: str = "count"
    build: Callable[[], Engine] = engine_with


def bid(quantity: int = 1, price: int = 1, **terms: Any) -> PlaceOrder:
    """Return a buy order of Alice's, whose limits are tested."""
    return buy(ALICE, quantity=quantity, price=price, **terms)


def offered() -> Engine:
    """Return an engine in which Bob offers lots one by one."""
    return engine_with([sell(BOB, quantity=1, price=5) for _ in range(3)])


def two_instruments() -> Engine:
    """Return an engine with another instrument."""
    engine = engine_with()
    accepted(engine, instrument_command(symbol=OTHER))
    return engine


def turned_over() -> Engine:
    """Return an engine in which Alice sold for 120 and bought for 180 today, and closed what she had."""
    engine = engine_with()
    trade_at(engine, 1, 120, maker=ALICE, taker=BOB)
    trade_at(engine, 1, 120, maker=CAROL, taker=ALICE)
    trade_at(engine, 1, 60, maker=BOB, taker=ALICE)
    return engine


def losing() -> Engine:
    """Return an engine in which Alice lost 20 today and can lose 1 more: she is long and the next bid is lower."""
    engine = engine_with()
    trade_at(engine, 12, 10, maker=BOB, taker=ALICE)
    accepted(engine, buy(CAROL, quantity=10, price=10))
    accepted(engine, sell(ALICE, quantity=10, price=10))
    trade_at(engine, 12, 1, maker=BOB, taker=ALICE)
    accepted(engine, buy(CAROL, quantity=1, price=11))
    return engine


LIMIT_CASES: dict[str, LimitCase] = {
    "message_rate": LimitCase("C9", 2, (bid(), cancel(1, ALICE), bid()), bid(), 3),
    "symbol_message_rate": LimitCase(
        "C9", 2, (bid(), bid(symbol=OTHER), bid(), bid(symbol=OTHER)), bid(), 3, build=two_instruments
    ),
    "rejection_rate": LimitCase("C9", 1, (Refused(bid(0)), bid(), Refused(bid(0))), bid(), 2),
    "order_trade_ratio": LimitCase("C14", RATIO_FREE_ORDERS + 1, (bid(),) * 101, bid(), 102),
    "duplicate_window_ns": LimitCase(
        "C10", SECOND_NS, (bid(7), Later(SECOND_NS), bid(7), Later(SECOND_NS - 1)), bid(7), SECOND_NS - 1, "ns"
    ),
    "execution_rate": LimitCase("C11", 1, (bid(1, 5), bid(), bid(1, 5)), bid(), 2, build=offered),
    "open_orders": LimitCase("C5", 2, (bid(), bid()), bid(), 3),
    "symbol_open_orders": LimitCase(
        "C5", 2, (bid(), bid(symbol=OTHER), bid(), bid(symbol=OTHER)), bid(), 3, build=two_instruments
    ),
    "order_notional": LimitCase("C3", 500, (bid(50, 10),), bid(501), 501, QUOTE),
    "open_notional": LimitCase("C5", 1_000, (bid(30, 10), sell(ALICE, quantity=7, price=100)), bid(), 1_001, QUOTE),
    "daily_notional": LimitCase("C8", 1_000, (bid(700),), bid(), 1_001, QUOTE, turned_over),
    "position_notional": LimitCase("C7", 100, (bid(40), bid(60, 1)), bid(), 101, QUOTE, lambda: traded_at_1()),
    "daily_loss": LimitCase("C8", 20, (bid(), sell(ALICE, quantity=1, price=11)), bid(), 21, QUOTE, losing),
}


def traded_at_1() -> Engine:
    """Return an engine whose last price is 1 and in which Alice has nothing."""
    engine = engine_with()
    trade_at(engine, 1)
    return engine


def set_on(level: str, name: str, value: int | None) -> Command:
    """Return the command that sets a limit for the exchange, for the tier, or for Alice."""
    changes = {name: None if value is None else str(value)}
    if level == "account":
        return UpdateAccount(ALICE, limits=changes)
    return SetLimits(changes, tier=TIER if level == "tier" else None)
