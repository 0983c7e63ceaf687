"""The orders of the path benchmark, made before the clock starts."""

import random

import msgspec

from app.load.flow import draw, order_body

SEED = 7


def orders(symbol: str, name: str, count: int) -> list[bytes]:
    """Return order bodies, the same for the same name; `name` must be new on the exchange."""
    choice = random.Random(f"{SEED} {name}")
    return [msgspec.json.encode(order_body(symbol, draw(choice, f"{name}.{number}"))) for number in range(count)]
