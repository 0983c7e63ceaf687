"""Reduce-only orders: when a position shrinks, those that it has no room for any more are canceled."""

from collections.abc import Iterable
from operator import attrgetter

from app.domain.enums import OrderReason
from app.engine.controls import reducible
from app.engine.matching import Matcher
from app.engine.positions import Position

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_REASON_REDUCE_ONLY = OrderReason.REDUCE_ONLY
_place = attrgetter("account.account_id", "book.symbol")


def trim(positions: Iterable[Position], matcher: Matcher) -> None:
    """Cancel orders, the newest first, until the rest fits; ends a command in which the positions traded."""
    for position in sorted(set(positions), key=_place):
        for is_buy in (True, False):
            while reducible(position, is_buy=is_buy) < 0:
                assert position.reducing is not None, "expected reduce-only orders where there is less to reduce"
                newest = position.reducing[is_buy].newest()
                matcher.cancel(position.account.open_orders[newest], _REASON_REDUCE_ONLY)
