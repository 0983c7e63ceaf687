"""Orders that wait for a price: kept so that a price which fires none of them costs two comparisons.

Fixed triggers are sorted by price, one queue per direction. Trailing stops that have seen the same best price
share a group, sorted by distance; a better price merges the groups it passes, the smaller into the larger, so
that an order moves a logarithmic number of times however many prices it follows. What fires joins the book's
queue, in which it waits for a Tick (trigger_queue.py); all of this belongs to one book.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from sortedcontainers import SortedList

from app.domain.enums import OrderType, TriggerBy

if TYPE_CHECKING:
    from app.engine.state import Order

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_MARK = TriggerBy.MARK
_TAKES_PROFIT = (OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)
_LOWEST, _HIGHEST = 0, 1 << 64
"""Prices that no print reaches: nothing waits on that side of the last one."""


class FixedTriggers:
    """Orders with a trigger price of their own; direction 1 fires when the price rises that far, -1 when it falls."""

    __slots__ = ("_sorted", "direction")

    def __init__(self, direction: int) -> None:
        self.direction = direction
        self._sorted: SortedList[tuple[int, int, Order]] = SortedList()
        """(trigger price x direction, order id, order): the first to fire first."""

    @property
    def nearest(self) -> int | None:
        """Return the price that fires the first of them, or None."""
        return self._sorted[0][0] * self.direction if self._sorted else None

    def add(self, order: Order, trigger_price: int) -> None:
        """Let an order wait."""
        self._sorted.add((trigger_price * self.direction, order.order_id, order))

    def remove(self, order: Order, trigger_price: int) -> None:
        """Take an order out."""
        self._sorted.remove((trigger_price * self.direction, order.order_id, order))

    def take(self, price: int) -> list[Order]:
        """Remove and return what the price fires."""
        waiting, key = self._sorted, price * self.direction
        fired: list[Order] = []
        while waiting and waiting[0][0] <= key:
            fired.append(waiting.pop(0)[2])
        return fired

    def orders(self) -> list[Order]:
        """Return all that wait."""
        return [order for _, _, order in self._sorted]


class TrailGroup:
    """Trailing stops of one side that have seen the same best price; `key` is that price x direction."""

    __slots__ = ("direction", "key", "waiting")

    def __init__(self, key: int, direction: int) -> None:
        self.key = key
        self.direction = direction
        self.waiting: SortedList[tuple[int, int, Order]] = SortedList()
        """(distance, order id, order): the first to fire first."""

    @property
    def watermark(self) -> int:
        """Return the best price that they have seen."""
        return self.key * self.direction

    @property
    def first(self) -> int:
        """Return the price x direction at or below which the first of them fires."""
        distance: int = self.waiting[0][0]
        return self.key - distance


class TrailingStops:
    """Trailing stops of one side; direction 1 follows a rising price (sells), -1 a falling one (buys)."""

    __slots__ = ("_firsts", "_groups", "_keys", "direction")

    def __init__(self, direction: int) -> None:
        self.direction = direction
        self._groups: dict[int, TrailGroup] = {}
        self._keys: SortedList[int] = SortedList()
        self._firsts: SortedList[tuple[int, int]] = SortedList()
        """(first, key) of each group: the last one fires first."""

    @property
    def nearest(self) -> int | None:
        """Return the price that fires the first of them, or None."""
        if not self._firsts:
            return None
        price: int = self._firsts[-1][0] * self.direction
        # A trigger is at least one tick, so that the lowest price fires every sell.
        return max(price, 1) if self.direction > 0 else price

    @property
    def follows(self) -> int | None:
        """Return the price beyond which a group moves, or None."""
        return self._keys[0] * self.direction if self._keys else None

    def add(self, order: Order, watermark: int) -> None:
        """Let an order wait that has seen `watermark` as its best price."""
        key = watermark * self.direction
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = TrailGroup(key, self.direction)
            self._keys.add(key)
        else:
            self._firsts.remove((group.first, key))
        group.waiting.add((_distance(order), order.order_id, order))
        self._firsts.add((group.first, key))
        extras = order.extras
        assert extras is not None
        extras.trails_in = group

    def remove(self, order: Order) -> None:
        """Take an order out; its trigger price stays as it is now."""
        extras = order.extras
        assert extras is not None
        group = extras.trails_in
        assert group is not None, f"expected order {order.order_id} to trail"
        extras.trigger_price, extras.watermark = trigger_of(order), group.watermark
        extras.trails_in = None
        self._firsts.remove((group.first, group.key))
        group.waiting.remove((_distance(order), order.order_id, order))
        if group.waiting:
            self._firsts.add((group.first, group.key))
        else:
            del self._groups[group.key]
            self._keys.remove(group.key)

    def take(self, price: int) -> list[Order]:
        """Let all follow the price; remove and return what it fires then."""
        key = price * self.direction
        if self._keys and self._keys[0] < key:
            self._follow(key)
        fired: list[Order] = []
        while self._firsts and (self._firsts[-1][0] >= key or key == 1):
            order = self._groups[self._firsts[-1][1]].waiting[0][2]
            self.remove(order)
            fired.append(order)
        return fired

    def _follow(self, key: int) -> None:
        """Move every group that the price has passed to it."""
        kept = self._groups.get(key)
        if kept is None:
            self._keys.add(key)
        else:
            self._firsts.remove((kept.first, key))
        while self._keys[0] < key:
            passed = self._groups.pop(self._keys.pop(0))
            self._firsts.remove((passed.first, passed.key))
            kept = passed if kept is None else _merged(kept, passed)
        assert kept is not None
        kept.key = key
        self._groups[key] = kept
        self._firsts.add((kept.first, key))

    def orders(self) -> list[Order]:
        """Return all that wait."""
        return [order for key in self._keys for _, _, order in self._groups[key].waiting]


class BookTriggers:
    """Everything that waits for a price of one book, and what has fired."""

    __slots__ = ("above", "below", "falling", "fired", "marks", "rising", "trailing_buys", "trailing_sells")

    def __init__(self) -> None:
        self.rising, self.falling = FixedTriggers(1), FixedTriggers(-1)
        self.marks = FixedTriggers(1), FixedTriggers(-1)
        """Those that are compared with the mark price, rising and falling."""
        self.trailing_sells, self.trailing_buys = TrailingStops(1), TrailingStops(-1)
        self.below, self.above = _LOWEST, _HIGHEST
        """A print strictly between these two changes nothing."""
        self.fired: OrderedDict[int, tuple[int, Order]] = OrderedDict()
        """By order id: when it fired, counted over all books, and the order; first fired first."""

    def add(self, order: Order) -> None:
        """Let an untriggered order wait for its price."""
        extras = order.extras
        assert extras is not None
        if order.terms.trailing_offset is not None:
            assert extras.watermark is not None
            self._trail_of(order).add(order, extras.watermark)
        else:
            assert extras.trigger_price is not None
            self._fixed_of(order).add(order, extras.trigger_price)
        extras.waits = True
        self._bound()

    def remove(self, order: Order) -> None:
        """Take an order out, waiting or fired."""
        extras = order.extras
        assert extras is not None
        if self.fired.pop(order.order_id, None) is not None or not extras.waits:
            return
        extras.waits = False
        if extras.trails_in is not None:
            self._trail_of(order).remove(order)
        else:
            assert extras.trigger_price is not None
            self._fixed_of(order).remove(order, extras.trigger_price)
        self._bound()

    def take(self, price: int) -> list[Order]:
        """Remove and return what a print at the price fires, oldest order first; trailing stops follow it before."""
        fired = self.rising.take(price) + self.falling.take(price)
        fired += self.trailing_sells.take(price) + self.trailing_buys.take(price)
        self._bound()
        return _in_order(fired)

    def take_marked(self, mark_price: int) -> list[Order]:
        """Remove and return what a changed mark price fires, oldest order first."""
        return _in_order([order for waiting in self.marks for order in waiting.take(mark_price)])

    def waiting(self) -> list[Order]:
        """Return all that wait for a price."""
        structures = self.rising, self.falling, *self.marks, self.trailing_sells, self.trailing_buys
        return [order for structure in structures for order in structure.orders()]

    def _trail_of(self, order: Order) -> TrailingStops:
        return self.trailing_buys if order.is_buy else self.trailing_sells

    def _fixed_of(self, order: Order) -> FixedTriggers:
        rises = order.is_buy is not (order.terms.type in _TAKES_PROFIT)
        if order.terms.trigger_by is _MARK:
            return self.marks[0] if rises else self.marks[1]
        return self.rising if rises else self.falling

    def _bound(self) -> None:
        sells, buys = self.trailing_sells, self.trailing_buys
        above = [price for price in (self.rising.nearest, buys.nearest) if price is not None]
        below = [price for price in (self.falling.nearest, sells.nearest) if price is not None]
        if sells.follows is not None:
            above.append(sells.follows + 1)
        if buys.follows is not None:
            below.append(buys.follows - 1)
        self.above, self.below = min(above, default=_HIGHEST), max(below, default=_LOWEST)


def _merged(one: TrailGroup, other: TrailGroup) -> TrailGroup:
    larger, smaller = (one, other) if len(one.waiting) >= len(other.waiting) else (other, one)
    for _, _, order in smaller.waiting:
        assert order.extras is not None
        order.extras.trails_in = larger
    larger.waiting.update(smaller.waiting)
    return larger


def trigger_of(order: Order) -> int | None:
    """Return an order's trigger price as it is now; a waiting trailing stop's follows the price."""
    extras = order.extras
    if extras is None:
        return None
    group = extras.trails_in
    if group is None:
        return extras.trigger_price
    return trail_price(group.watermark, _distance(order), group.direction)


def watermark_of(order: Order) -> int | None:
    """Return the best price that a trailing stop has seen."""
    extras = order.extras
    if extras is None:
        return None
    return extras.watermark if extras.trails_in is None else extras.trails_in.watermark


def trail_price(watermark: int, distance: int, direction: int) -> int:
    """Return where a trailing stop fires: below the best price it has seen for a sell (1), above it for a buy (-1)."""
    return max(watermark - distance, 1) if direction > 0 else watermark + distance


def _distance(order: Order) -> int:
    distance = order.terms.trailing_offset
    assert distance is not None, f"order {order.order_id} does not trail"
    return distance


def _in_order(orders: list[Order]) -> list[Order]:
    for order in orders:
        assert order.extras is not None
        order.extras.waits = False
    if len(orders) > 1:
        orders.sort(key=_order_id)
    return orders


def _order_id(order: Order) -> int:
    return order.order_id
