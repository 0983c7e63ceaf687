"""What the load sends: seeded orders of a trader, and cancels of its oldest ones so that the book stays bounded.

Seven of ten orders rest behind the best price, three take from a standing quote of the maker, one fill
each; so the book only grows by what rests, and no account meets itself.
"""

import random
from collections import deque
from typing import NamedTuple

MID = 100_000
SPREAD_MEAN = 40.0
CROSSING_SHARE = 0.3
QUANTITY_MAX = 100
OPEN_MAX = 200
"""Orders of one trader that rest; beyond it every other request cancels the oldest."""


class Place(NamedTuple):
    """An order to place, in ticks and lots."""

    is_buy: bool
    price: int
    quantity: int
    client_order_id: str
    rests: bool


class Cancel(NamedTuple):
    """An order to cancel."""

    order_id: int


Request = Place | Cancel


class Trader:
    """One account's requests, the same for the same seed, name and answers."""

    def __init__(self, name: str, seed: int) -> None:
        self._choice = random.Random(f"{seed} {name}")  # noqa: S311  # a seeded load, no secret
        self._name = name
        self._count = 0
        self._canceled_last = False
        self._open: deque[int] = deque()

    def next_request(self) -> Request:
        """Return what comes next; every `client_order_id` starts with the trader's name and comes once."""
        if len(self._open) >= OPEN_MAX and not self._canceled_last:
            self._canceled_last = True
            return Cancel(self._open.popleft())
        self._canceled_last = False
        self._count += 1
        return draw(self._choice, f"{self._name}.{self._count}")

    def acknowledged(self, request: Request, order_id: int | None) -> None:
        """Remember an order that rests now."""
        if isinstance(request, Place) and request.rests and order_id is not None:
            self._open.append(order_id)


def draw(choice: random.Random, client_order_id: str) -> Place:
    """Return the next order of a seeded choice."""
    is_buy = choice.random() < 0.5
    away = 1 if is_buy else -1
    rests = choice.random() >= CROSSING_SHARE
    price = MID - away * (2 + int(choice.expovariate(1 / SPREAD_MEAN))) if rests else MID + away
    return Place(is_buy, price, choice.randint(1, QUANTITY_MAX), client_order_id, rests)


def price_text(ticks: int) -> str:
    """Return ticks of 0.01 as the wire's decimal text."""
    return f"{ticks // 100}.{ticks % 100:02d}"


def order_body(symbol: str, order: Place) -> dict[str, str]:
    """Return an order as the public API takes it."""
    return {
        "symbol": symbol,
        "side": "buy" if order.is_buy else "sell",
        "type": "limit",
        "price": price_text(order.price),
        "quantity": str(order.quantity),
        "client_order_id": order.client_order_id,
    }
