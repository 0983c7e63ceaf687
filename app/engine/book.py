"""Order book of one instrument: price levels with first-in-first-out queues.

Adding, removing and filling an order cost the same however deep the book is: queues are linked
through the orders themselves, prices are kept sorted, the best level is at hand. The book also
remembers what was published, so that `seal` can state the change of a whole batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sortedcontainers import SortedList

from app.domain.enums import Side
from app.domain.events import BookDelta, BookLevels, TradeExecuted
from app.domain.instrument import Instrument
from app.domain.outcomes import BookTop

if TYPE_CHECKING:
    from app.engine.state import Order
    from app.engine.triggers import BookTriggers

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_BUY = Side.BUY

EXTERNAL_AGE_MAX_NS = 5_000_000_000
"""An external reference price older than this no longer counts."""


class PriceLevel:
    """Queue of the open orders at one price; `quantity` is the sum of the lots they show."""

    __slots__ = ("head", "price", "quantity", "tail")

    def __init__(self, price: int) -> None:
        self.price = price
        self.quantity = 0
        self.head: Order | None = None
        self.tail: Order | None = None


class BookSide:
    """Bids or asks. `direction` is 1 for bids and -1 for asks, so the best key is always the greatest."""

    __slots__ = ("_keys", "best", "direction", "levels", "published")

    def __init__(self, direction: int) -> None:
        self.direction = direction
        self.levels: dict[int, PriceLevel] = {}
        self._keys: SortedList[int] = SortedList()
        self.best: PriceLevel | None = None
        self.published: dict[int, int] = {}
        """Published quantity of each price that changed since the last seal."""

    def add(self, order: Order) -> None:
        """Put an order at the back of its level's queue."""
        price = order.price
        level = self.levels.get(price)
        if level is None:
            level = self.levels[price] = PriceLevel(price)
            key = price * self.direction
            self._keys.add(key)
            if self.best is None or key > self.best.price * self.direction:
                self.best = level
        if price not in self.published:
            self.published[price] = level.quantity
        tail = level.tail
        order.level = level
        order.ahead = tail
        if tail is None:
            level.head = order
        else:
            tail.behind = order
        level.tail = order
        level.quantity += order.remaining if order.extras is None else order.show()

    def reduce(self, order: Order, quantity: int) -> None:
        """Take shown lots off an order that keeps its place; the caller lowers `order.remaining` itself."""
        level = order.level
        assert level is not None, f"expected order {order.order_id} in the book"
        if level.price not in self.published:
            self.published[level.price] = level.quantity
        level.quantity -= quantity
        extras = order.extras
        if extras is not None and extras.display_quantity is not None:
            extras.shown -= quantity

    def remove(self, order: Order) -> None:
        """Take an order out with what remains of it."""
        level = order.level
        assert level is not None, f"expected order {order.order_id} in the book"
        price = level.price
        if price not in self.published:
            self.published[price] = level.quantity
        level.quantity -= order.remaining if order.extras is None else order.shown
        ahead, behind = order.ahead, order.behind
        if ahead is None:
            level.head = behind
        else:
            ahead.behind = behind
        if behind is None:
            level.tail = ahead
        else:
            behind.ahead = ahead
        # No cycle may stay behind: the engine runs without the garbage collector.
        order.level = order.ahead = order.behind = None
        if level.head is None:
            self._drop(level)

    def refill(self, order: Order) -> None:
        """Let an iceberg show its next part, at the back of its level's queue."""
        self.remove(order)
        self.add(order)

    def _drop(self, level: PriceLevel) -> None:
        del self.levels[level.price]
        if level is self.best:
            self._keys.pop()
            self.best = self.levels[self._keys[-1] * self.direction] if self._keys else None
        else:
            self._keys.remove(level.price * self.direction)

    def best_first(self) -> Iterator[PriceLevel]:
        """Yield the levels, best first; the side must not change meanwhile."""
        levels, direction = self.levels, self.direction
        return (levels[key * direction] for key in reversed(self._keys))

    def snapshot(self) -> BookLevels:
        """Return all levels, best first."""
        return [(level.price, level.quantity) for level in self.best_first()]

    def changes(self) -> BookLevels:
        """Return the levels whose quantity differs from the published one, best first, and start anew."""
        changed: BookLevels = []
        levels = self.levels
        for price, before in self.published.items():
            level = levels.get(price)
            now = 0 if level is None else level.quantity
            if now != before:
                changed.append((price, now))
        self.published.clear()
        if len(changed) > 1:
            changed.sort(reverse=self.direction > 0)
        return changed


class Book:
    """Both sides of one instrument, its published sequence and its last trade."""

    __slots__ = (
        "asks",
        "bids",
        "external",
        "instrument",
        "killed",
        "last_price",
        "seq",
        "trade_id",
        "trades",
        "triggers",
    )

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.bids = BookSide(1)
        self.asks = BookSide(-1)
        self.seq = 0
        self.trade_id = 0
        self.last_price: int | None = None
        self.external: tuple[int, int] | None = None
        """Newest external reference price, and its time in UTC nanoseconds."""
        self.triggers: BookTriggers | None = None
        """Orders that wait for a price, and those that fired; None until there was one."""
        self.killed = False
        """Whether the instrument's kill switch is on."""
        self.trades: list[TradeExecuted] = []
        """Trades since the last seal."""

    def side(self, side: Side) -> BookSide:
        """Return the side an order of that direction rests on."""
        return self.bids if side is _BUY else self.asks

    def opposite(self, side: Side) -> BookSide:
        """Return the side an order of that direction takes from."""
        return self.asks if side is _BUY else self.bids

    def top(self, epoch: int) -> BookTop:
        """Return best bid and ask as they are now."""
        bid, ask = self.bids.best, self.asks.best
        return BookTop(
            epoch,
            self.seq,
            0 if bid is None else bid.price,
            0 if bid is None else bid.quantity,
            0 if ask is None else ask.price,
            0 if ask is None else ask.quantity,
        )

    def reference_price(self) -> int | None:
        """Return the last trade's price, else the mid, else the configured one, in ticks."""
        if self.last_price is not None:
            return self.last_price
        if self.bids.best is not None and self.asks.best is not None:
            return (self.bids.best.price + self.asks.best.price) // 2
        return self.instrument.reference_price

    def mark_price(self, timestamp_ns: int) -> int | None:
        """Return the median of last price, mid and a young external reference, of those that exist, in ticks."""
        known = [] if self.last_price is None else [self.last_price]
        if self.bids.best is not None and self.asks.best is not None:
            known.append((self.bids.best.price + self.asks.best.price) // 2)
        if self.external is not None and timestamp_ns - self.external[1] < EXTERNAL_AGE_MAX_NS:
            known.append(self.external[0])
        known.sort()
        if not known:
            return None
        return (known[0] + known[1]) // 2 if len(known) == 2 else known[len(known) // 2]

    def seal(self, epoch: int, engine_seq: int) -> BookDelta | None:
        """State the published change since the last seal; a net-zero change burns no sequence."""
        bids, asks = self.bids.changes(), self.asks.changes()
        if not bids and not asks:
            return None
        best_bid, best_ask = self.bids.best, self.asks.best
        assert best_bid is None or best_ask is None or best_bid.price < best_ask.price, (
            f"crossed book {self.instrument.symbol}"
        )
        self.seq += 1
        return BookDelta(self.instrument.symbol, epoch, self.seq - 1, self.seq, engine_seq, bids, asks)
