"""Reduce-only orders: when a position shrinks, those that it has no room for any more are canceled."""

from collections.abc import Iterable

from app.domain.enums import OrderReason
from app.engine.controls import reducible
from app.engine.matching import Matcher
from app.engine.positions import Position

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_REASON_REDUCE_ONLY = OrderReason.REDUCE_ONLY


def trim(positions: Iterable[Position], matcher: Matcher) -> None:
    """Cancel orders, the newest first, until the rest fits; ends a command in which the positions traded."""
    ordered = sorted(positions, key=lambda position: (position.account.account_id, position.book.symbol))
    for position in ordered:
        for is_buy in (True, False):
            while reducible(position, is_buy=is_buy) < 0:
                assert position.reducing is not None
                newest = max(order.order_id for order in position.reducing.values() if order.is_buy is is_buy)
                matcher.cancel(position.reducing[newest], _REASON_REDUCE_ONLY)
