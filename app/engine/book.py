"""Order book of one instrument: price levels with first-in-first-out queues.

Adding, removing and filling an order cost the same however deep the book is: queues are linked
through the orders themselves, prices are kept sorted, the best level is at hand. The book also
remembers what was published, so that `seal` can state the change of a whole batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from sortedcontainers import SortedList

from app.domain.enums import InstrumentStatus, Side
from app.domain.events import BookDelta, BookLevels, TradeExecuted
from app.domain.instrument import Instrument
from app.domain.outcomes import BookTop
from app.domain.prices import EXTERNAL_AGE_MAX_NS, mark_of
from app.engine.bounds import Bounds
from app.engine.breaker import PriceTrail
from app.engine.uncross import Uncross

if TYPE_CHECKING:
    from app.engine.state import Order
    from app.engine.triggers import BookTriggers

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_AUCTION = InstrumentStatus.AUCTION
_BUY = Side.BUY


class PriceLevel:
    """Queue of the open orders at one price; `quantity` is the sum of the lots they show, `reserve` of all others."""

    __slots__ = ("head", "price", "quantity", "reserve", "tail")

    def __init__(self, price: int) -> None:
        self.price = price
        self.quantity = 0
        self.reserve = 0
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
        try:
            level = self.levels[price]
        except KeyError:
            level = self._open(price)
        published = self.published
        if price not in published:
            published[price] = level.quantity
        tail = level.tail
        order.level = level
        if tail is None:
            level.head = order
        else:
            order.ahead = tail
            tail.behind = order
        level.tail = order
        if order.extras is None:
            level.quantity += order.remaining
        else:
            shown = order.show()
            level.quantity += shown
            level.reserve += order.remaining - shown

    def reduce(self, order: Order, quantity: int, hidden: int = 0) -> None:
        """Take shown and hidden lots off an order that keeps its place; the caller lowers `order.remaining`."""
        level = order.level
        assert level is not None, f"expected order {order.order_id} in the book"
        if level.price not in self.published:
            self.published[level.price] = level.quantity
        level.quantity -= quantity
        level.reserve -= hidden
        extras = order.extras
        if extras is not None and extras.display_quantity is not None:
            extras.shown -= quantity

    def remove(self, order: Order) -> None:
        """Take an order out with what remains of it."""
        level = order.level
        assert level is not None, f"expected order {order.order_id} in the book"
        price = level.price
        published = self.published
        if price not in published:
            published[price] = level.quantity
        if order.extras is None:
            level.quantity -= order.remaining
        else:
            level.quantity -= order.shown
            level.reserve -= order.remaining - order.shown
        ahead, behind = order.ahead, order.behind
        order.level = None
        # No cycle may stay behind: the engine runs without the garbage collector.
        if ahead is None:
            level.head = behind
        else:
            ahead.behind = behind
            order.ahead = None
        if behind is None:
            level.tail = ahead
            if ahead is None:
                self._drop(level)
        else:
            behind.ahead = ahead
            order.behind = None

    def _open(self, price: int) -> PriceLevel:
        level = self.levels[price] = PriceLevel(price)
        key = price * self.direction
        self._keys.add(key)
        if self.best is None or key > self.best.price * self.direction:
            self.best = level
        return level

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

    def withdrawn(self) -> BookLevels:
        """Return the removal of every published level, best first, and start anew."""
        before = {price: level.quantity for price, level in self.levels.items()} | self.published
        self.published.clear()
        prices = sorted((price for price, quantity in before.items() if quantity), reverse=self.direction > 0)
        return [(price, 0) for price in prices]


class Rates(msgspec.Struct, frozen=True, gc=False):
    """Fee rates in parts of RATE_SCALE; one object is shared by all orders that captured the same ones."""

    maker: int
    taker: int
    highest: int
    """What a hold must cover: the highest fee that a fill could bring, never below zero."""


def rates_of(maker: int, taker: int) -> Rates:
    """Return the rates with the one that holds are made for."""
    return Rates(maker, taker, max(maker, taker, 0))


class FeeTier(NamedTuple):
    """Rates of accounts that turned over so much, in parts of RATE_SCALE."""

    volume: int
    """Least quote units in the days that count."""
    maker: int
    taker: int


class Book:
    """Both sides of one instrument, its published sequence and its last trade."""

    __slots__ = (
        "asks",
        "base",
        "bids",
        "bounds",
        "external",
        "indicated",
        "instrument",
        "is_veiled",
        "is_withdrawn",
        "killed",
        "last_price",
        "lot_units",
        "notional_unit",
        "phase_timer",
        "quote",
        "rates",
        "seq",
        "symbol",
        "tier_rates",
        "tiers",
        "tops",
        "trade_id",
        "trades",
        "trail",
        "triggers",
        "uncross_price",
    )

    def __init__(self, instrument: Instrument, tiers: tuple[FeeTier, ...] = ()) -> None:
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
        self.is_veiled = False
        """Whether the published book may be empty though orders rest: `is_hidden` says if it is."""
        self.is_withdrawn = False
        """Whether the last seal left the published book empty for that."""
        self.indicated: Uncross | None = None
        """Where its auction would uncross, as stated last."""
        self.uncross_price: int | None = None
        """Price of an uncross that has begun."""
        self.trail: PriceTrail | None = None
        """Prices its breaker measures trades against; None without a breaker."""
        self.phase_timer: tuple[int, int] | None = None
        """Kind and time of the armed timer that will change the status."""
        self.trades: list[TradeExecuted] = []
        """Trades since the last seal."""
        self.tops: list[BookTop] = []
        """Tops in answers since the last seal, which gives them their sequence; kept by the recorder."""
        self.symbol = instrument.symbol
        self.base = instrument.base
        self.quote = instrument.quote
        self.notional_unit = instrument.notional_unit
        self.lot_units = instrument.lot_units
        self.tiers = tiers
        """Fee tiers of its quote asset, the least volume first."""
        self.tier_rates: tuple[tuple[int, Rates], ...] = ()
        """What they make of its rates: least volume and rates to capture, the greatest volume first."""
        self.define(instrument)

    def define(self, instrument: Instrument) -> None:
        """Take over an instrument's rules: what changes by an edit, worked out once."""
        self.instrument = instrument
        self.rates = rates_of(instrument.maker_fee, instrument.taker_fee)
        self.bounds = Bounds(instrument, self.last_price)
        self.set_tiers(self.tiers)

    def set_tiers(self, tiers: tuple[FeeTier, ...]) -> None:
        """Take over the fee tiers of its quote asset: a tier gives the lower of its rates and the instrument's."""
        own, self.tiers = self.rates, tiers
        instrument = self.instrument
        found = [(tier.volume, rates_of(*instrument.rates_with(tier.maker, tier.taker))) for tier in tiers]
        self.tier_rates = tuple([(volume, own if rates == own else rates) for volume, rates in reversed(found)])

    def move_last_price(self, price: int | None) -> None:
        """Set the last trade's price, and the band with it."""
        self.last_price = price
        self.bounds.follow(price)

    @property
    def is_crossed(self) -> bool:
        """Whether the best bid is not below the best ask: only an auction lets that happen."""
        bid, ask = self.bids.best, self.asks.best
        return bid is not None and ask is not None and bid.price >= ask.price

    @property
    def is_hidden(self) -> bool:
        """Whether the published book is empty, whatever rests: in an auction, and as long as it leaves a crossing."""
        return self.is_veiled and (self.instrument.status is _AUCTION or self.is_crossed)

    def side(self, side: Side) -> BookSide:
        """Return the side an order of that direction rests on."""
        return self.bids if side is _BUY else self.asks

    def opposite(self, side: Side) -> BookSide:
        """Return the side an order of that direction takes from."""
        return self.asks if side is _BUY else self.bids

    def top(self, epoch: int) -> BookTop:
        """Return best bid and ask as they are now; of a hidden book, nothing."""
        if self.is_veiled and self.is_hidden:
            return BookTop(epoch, self.seq, 0, 0, 0, 0)
        bid, ask = self.bids.best, self.asks.best
        return BookTop(
            epoch,
            self.seq,
            0 if bid is None else bid.price,
            0 if bid is None else bid.quantity,
            0 if ask is None else ask.price,
            0 if ask is None else ask.quantity,
        )

    def mid_price(self) -> int | None:
        """Return the middle of the published best prices in ticks, rounded down, or None."""
        bid, ask = self.bids.best, self.asks.best
        return None if bid is None or ask is None or self.is_hidden else (bid.price + ask.price) // 2

    def reference_price(self) -> int | None:
        """Return the last trade's price, else the mid, else the configured one, in ticks."""
        if self.last_price is not None:
            return self.last_price
        mid = self.mid_price()
        return self.instrument.reference_price if mid is None else mid

    def mark_price(self, timestamp_ns: int) -> int | None:
        """Return the median of last price, mid and a young external reference, of those that exist, in ticks."""
        known = [price for price in (self.last_price, self.mid_price()) if price is not None]
        if self.external is not None and timestamp_ns - self.external[1] < EXTERNAL_AGE_MAX_NS:
            known.append(self.external[0])
        return mark_of(known)

    def seal(self, epoch: int, engine_seq: int) -> BookDelta | None:
        """State the published change since the last seal; a net-zero change burns no sequence."""
        if self.is_veiled:
            bids, asks = self._veiled_changes()
        else:
            bids, asks = self.bids.changes(), self.asks.changes()
        if not bids and not asks:
            return None
        assert self.is_withdrawn or not self.is_crossed, f"crossed book {self.symbol}"
        self.seq += 1
        return BookDelta(self.symbol, epoch, self.seq - 1, self.seq, engine_seq, bids, asks)

    def _veiled_changes(self) -> tuple[BookLevels, BookLevels]:
        """Return the published change of a book that is, or was, hidden."""
        was_withdrawn, is_hidden = self.is_withdrawn, self.is_hidden
        self.is_withdrawn = self.is_veiled = is_hidden
        if not was_withdrawn:
            if is_hidden:
                return self.bids.withdrawn(), self.asks.withdrawn()
            return self.bids.changes(), self.asks.changes()
        for side in (self.bids, self.asks):
            side.published.clear()
        return ([], []) if is_hidden else self.published_levels()

    def published_levels(self) -> tuple[BookLevels, BookLevels]:
        """Return bids and asks as they are published, best first; between batches."""
        return ([], []) if self.is_hidden else (self.bids.snapshot(), self.asks.snapshot())
