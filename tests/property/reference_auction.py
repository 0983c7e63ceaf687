"""Prices and phases of the reference model: reference and mark price, volatility breaker, call auction."""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import msgspec

from app.domain.commands import SetReference, UpdateInstrument
from app.domain.enums import InstrumentStatus, OrderReason, RejectReason, Side
from app.domain.events import AuctionIndicated, Event, InstrumentListed, ReferenceSet, TradeExecuted
from app.domain.instrument import Instrument
from app.domain.outcomes import Outcome
from tests.property.groups import GROUPS
from tests.property.reference_ledger import Levels, RefSealed
from tests.property.reference_listing import INTEGER_MAX, INVALID, WHOLE, ReferenceListing, queue_place
from tests.property.reference_records import RefOrder, Refused

REFERENCE_AGE_NS = 5 * 10**9
HALT_END, AUCTION_END = "halt_end", "auction_end"
FOLDED = {InstrumentStatus.OPEN, InstrumentStatus.POST_ONLY}
"""Phases in which a book must not be crossed."""


class Uncross(NamedTuple):
    """Where an auction meets: price, lots, and lots left over (positive on the buy side)."""

    price: int = 0
    quantity: int = 0
    surplus: int = 0


class ReferenceAuction(ReferenceListing):
    """Phases of an instrument, and the prices that it is measured by."""

    auctions_held = "auction" in GROUPS
    """Whether the status `auction` collects orders."""

    def __init__(self) -> None:
        super().__init__()
        self.uncross_operations_max = 5_000
        self.external: dict[str, tuple[int, int]] = {}
        """Time and price of the newest external reference."""
        self.trail: dict[str, list[tuple[int, int]]] = {}
        """Time and price of each print since the instrument was opened."""
        self.halt_ends: dict[str, int] = {}
        self.auction_ends: dict[str, int] = {}
        self.uncrossing: dict[str, int] = {}
        """Instruments whose uncross has begun, the oldest first, with its price."""
        self._indicated: dict[str, Uncross] = {}

    # ---- what the half that knows orders does ----------------------------------------------------

    def cross_at(self, later: RefOrder, earlier: RefOrder, price: int, quantity: int) -> None:
        """Print a trade of two resting orders at the auction's price; the later one takes."""
        raise NotImplementedError

    def one_owner(self, first: RefOrder, second: RefOrder) -> bool:
        """Return whether two orders must not trade with each other."""
        raise NotImplementedError

    # ---- prices --------------------------------------------------------------------------------

    def mid(self, symbol: str) -> int | None:
        """Return the middle of the published book, rounded down."""
        bid, _, ask, _ = self.public_best(symbol)
        return (bid + ask) // 2 if bid and ask else None

    def reference_price(self, symbol: str) -> int | None:
        """Return the last price, else the middle, else the configured price."""
        return self.last_prices.get(symbol) or self.mid(symbol) or self.instruments[symbol].reference_price

    def mark_price(self, symbol: str) -> int | None:
        """Return the median of last price, middle and a young external price, over those there are."""
        prices = [self.last_prices.get(symbol), self.mid(symbol)]
        stated_ns, external = self.external.get(symbol, (0, None))
        if self.timestamp_ns - stated_ns < REFERENCE_AGE_NS:
            prices.append(external)
        known = sorted(price for price in prices if price is not None)
        if not known:
            return None
        return known[len(known) // 2] if len(known) % 2 else (known[0] + known[1]) // 2

    def set_reference(self, command: SetReference) -> Outcome:
        instrument = self.instruments.get(command.symbol)
        if instrument is None:
            raise Refused(RejectReason.UNKNOWN_SYMBOL, "symbol")
        if instrument.status is InstrumentStatus.CLOSED:
            raise Refused(RejectReason.INSTRUMENT_NOT_OPEN, "status")
        if not 1 <= command.price <= INTEGER_MAX:
            raise Refused(INVALID, "price")
        self.external[command.symbol] = self.timestamp_ns, command.price
        self.say(ReferenceSet(self.sequence, command.symbol, command.price))
        return Outcome(0, 0)

    # ---- breaker -------------------------------------------------------------------------------

    def say(self, event: Event) -> None:
        super().say(event)
        if isinstance(event, TradeExecuted):
            self.trail.setdefault(event.symbol, []).append((self.timestamp_ns, event.price))

    def breaker_base(self, symbol: str) -> int | None:
        """Return the price a trade is measured against: the last one of a window ago, else the oldest known."""
        window = self.instruments[symbol].breaker_window_ns
        last_at = dict(self.trail.get(symbol, ()))
        """The last price of each distinct time, oldest first."""
        if window is None or not last_at:
            return None
        old = [price for time, price in last_at.items() if time <= self.timestamp_ns - window]
        return old[-1] if old else next(iter(last_at.values()))

    def breaker_trips(self, symbol: str, price: int) -> bool:
        """Return whether a print at the price would halt the instrument."""
        base, move = self.breaker_base(symbol), self.instruments[symbol].breaker_move
        if base is None or move is None:
            return False
        return abs(price - base) > Fraction(base * move, WHOLE)

    def trip_breaker(self, taker: RefOrder) -> None:
        """End the rest of the order that would have traded too far away, and halt."""
        symbol, halt_ns = taker.terms.symbol, self.instruments[taker.terms.symbol].breaker_halt_ns
        assert halt_ns is not None
        self.end(taker, OrderReason.CIRCUIT_BREAKER)
        self._enter(symbol, InstrumentStatus.HALTED)
        self.halt_ends[symbol] = self.timestamp_ns + halt_ns

    def market_timers(self) -> list[tuple[int, str, str]]:
        """Return what time will bring to instruments: when, what, symbol."""
        timers = [(due, HALT_END, symbol) for symbol, due in self.halt_ends.items()]
        return timers + [(due, AUCTION_END, symbol) for symbol, due in self.auction_ends.items()]

    def run_market_timer(self, kind: str, symbol: str) -> None:
        """Let a due timer act."""
        if kind == AUCTION_END:
            del self.auction_ends[symbol]
            self._begin_uncross(symbol)
            return
        del self.halt_ends[symbol]
        length = self.instruments[symbol].auction_ns
        if length:
            self.auction_ends[symbol] = self.timestamp_ns + length
            self._enter(symbol, InstrumentStatus.AUCTION)
        else:
            self._enter(symbol, InstrumentStatus.OPEN)

    # ---- phases --------------------------------------------------------------------------------

    def in_auction(self, symbol: str) -> bool:
        return self.auctions_held and self.instruments[symbol].status is InstrumentStatus.AUCTION

    def crossed(self, symbol: str) -> bool:
        bid, ask = self.best(symbol, Side.BUY)[0], self.best(symbol, Side.SELL)[0]
        return bool(bid and ask and bid >= ask)

    def hides(self, symbol: str) -> bool:
        """Return whether the published book is empty, whatever rests."""
        return self.in_auction(symbol) or self.crossed(symbol)

    def public_levels(self, symbol: str) -> Levels:
        return {} if self.hides(symbol) else super().public_levels(symbol)

    def public_best(self, symbol: str) -> tuple[int, int, int, int]:
        if self.in_auction(symbol):
            return 0, 0, 0, 0
        found = bid, _, ask, _ = super().public_best(symbol)
        return (0, 0, 0, 0) if bid and ask and bid >= ask else found

    def _enter(self, symbol: str, status: InstrumentStatus) -> None:
        """Change the phase; opening forgets the prices of before."""
        if status is InstrumentStatus.OPEN:
            self.trail.pop(symbol, None)
        instrument = self.instruments[symbol] = msgspec.structs.replace(self.instruments[symbol], status=status)
        self.say(InstrumentListed(self.sequence, instrument))

    def _list(self, instrument: Instrument) -> Outcome:
        """Take over a definition; another breaker begins without a past."""
        before = self.instruments.get(instrument.symbol)
        outcome = super()._list(instrument)
        if before is not None:
            measures = [(each.breaker_move, each.breaker_window_ns) for each in (before, instrument)]
            if measures[0] != measures[1]:
                self.trail.pop(instrument.symbol, None)
        return outcome

    def update_status(self, command: UpdateInstrument, edited: Instrument) -> Outcome:
        """Give an instrument its edited fields and the administrator's status."""
        symbol, wished = command.symbol, command.status
        before = self.instruments[symbol].status
        if wished is None:
            return super().update_status(command, edited)
        is_auction, edits = self.in_auction(symbol), command.changes or command.order_types is not None
        uncrosses = is_auction and wished is InstrumentStatus.OPEN
        if self.crossed(symbol) and wished in FOLDED and not uncrosses:
            raise Refused(RejectReason.INSTRUMENT_NOT_OPEN, "status")
        if uncrosses:
            edited = msgspec.structs.replace(edited, status=before)
        outcome = super().update_status(command, edited) if not uncrosses or edits else None
        self.halt_ends.pop(symbol, None)
        self.auction_ends.pop(symbol, None)
        if wished is InstrumentStatus.OPEN and before is not InstrumentStatus.OPEN and not uncrosses:
            self.trail.pop(symbol, None)
        if uncrosses:
            self._begin_uncross(symbol)
            return Outcome(0, 0, instrument=self.instruments[symbol])
        if wished is not InstrumentStatus.AUCTION:
            self.uncrossing.pop(symbol, None)
        assert outcome is not None
        return outcome

    # ---- auction -------------------------------------------------------------------------------

    def indicative(self, symbol: str) -> Uncross:
        """Return where the book would uncross now."""
        resting = [o for o in self.open if o.terms.symbol == symbol and o.arrival is not None]
        bids = [(o.price, o.remaining) for o in resting if o.is_buy]
        asks = [(o.price, o.remaining) for o in resting if not o.is_buy]
        return uncross_at(bids, asks, self.reference_price(symbol))

    def _begin_uncross(self, symbol: str) -> None:
        if symbol not in self.uncrossing:
            self.uncrossing[symbol] = self.indicative(symbol).price
        self.uncross_slice(symbol)

    def is_stopped(self, symbol: str) -> bool:
        """Return whether a kill switch stops all matching of an instrument; the half that knows those says."""
        raise NotImplementedError

    def uncross_slice(self, symbol: str, operations: int = 0) -> None:
        """Trade head against head at the auction's price; when nothing is left to trade, open."""
        if self.is_stopped(symbol):
            return
        while (heads := self._heads(symbol)) is not None:
            if operations == self.uncross_operations_max:
                return
            operations += 1
            earlier, later = sorted(heads, key=lambda order: order.order_id)
            price, quantity = self.uncrossing[symbol], min(self.shown_of(earlier), self.shown_of(later))
            seller = earlier if later.is_buy else later
            if self.one_owner(earlier, later):
                self.end(later, OrderReason.SELF_TRADE)
            elif seller.notional + price * quantity * seller.instrument.notional_unit > INTEGER_MAX:
                self.end(seller, OrderReason.SLIPPAGE_CAP)
            else:
                self.cross_at(later, earlier, price, quantity)
        if self.crossed(symbol):
            # Only when cancels came between the slices.
            self.uncrossing[symbol] = self.indicative(symbol).price
            self.uncross_slice(symbol, operations)
            return
        del self.uncrossing[symbol]
        self._enter(symbol, InstrumentStatus.OPEN)

    def _heads(self, symbol: str) -> tuple[RefOrder, RefOrder] | None:
        """Return the first bid and the first ask if both admit the auction's price."""
        price = self.uncrossing[symbol]
        resting = [o for o in self.open if o.terms.symbol == symbol and o.arrival is not None]
        bids = sorted((o for o in resting if o.is_buy and o.price >= price), key=queue_place)
        asks = sorted((o for o in resting if not o.is_buy and o.price <= price), key=queue_place)
        return (bids[0], asks[0]) if price and bids and asks else None

    def seal(self) -> RefSealed:
        """State in addition what changed of where auctions would uncross."""
        sealed, changed = super().seal(), {}
        for symbol in self.instruments:
            if not self.in_auction(symbol):
                self._indicated.pop(symbol, None)
                continue
            price, quantity, surplus = self.indicative(symbol)
            found = Uncross(price, min(quantity, INTEGER_MAX), max(-INTEGER_MAX, min(surplus, INTEGER_MAX)))
            if found != self._indicated.get(symbol):
                self._indicated[symbol] = found
                changed[symbol] = AuctionIndicated(symbol, self.sequence, *found)
        return sealed._replace(auctions=changed)


def uncross_at(bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]], reference: int | None) -> Uncross:
    """Return the best of all candidate prices: most volume, least surplus, nearest to the reference, lowest."""

    def at(price: int) -> Uncross:
        demand = sum(lots for limit, lots in bids if limit >= price)
        supply = sum(lots for limit, lots in asks if limit <= price)
        return Uncross(price, min(demand, supply), demand - supply)

    candidates = [at(price) for price in sorted({price for price, _ in (*bids, *asks)})]
    most = max((each.quantity for each in candidates), default=0)
    if not most:
        return Uncross()
    candidates = [each for each in candidates if each.quantity == most]
    least = min(abs(each.surplus) for each in candidates)
    prices = [each.price for each in candidates if abs(each.surplus) == least]
    if reference is None:
        return at(prices[0])
    if prices[0] <= reference <= prices[-1]:
        return at(reference)
    return at(min(prices, key=lambda price: (abs(price - reference), price)))
