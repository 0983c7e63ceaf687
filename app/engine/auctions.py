"""Call auctions: orders gather without matching, then trade all at one price.

The price is found when the auction ends and stays until all that meets at it has traded, head against
head in price-time order; a large uncross goes on in Ticks, and until it is done the instrument admits
nothing but cancels. While orders gather, each batch that moves the price states where it would be.
"""

from app.domain.enums import InstrumentStatus, OrderReason
from app.domain.events import AuctionIndicated, BookLevels
from app.engine.book import Book, BookSide
from app.engine.bounds import INTEGER_MAX
from app.engine.matching import Matcher
from app.engine.owner import one_owner
from app.engine.phases import Phases
from app.engine.recorder import Recorder
from app.engine.state import Order, State
from app.engine.uncross import Uncross, uncross_of

UNCROSS_OPERATIONS_MAX = 5_000
"""Prints, and cancels of orders that may not trade with each other, that a command makes of an uncross."""

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_AUCTION = InstrumentStatus.AUCTION
_OPEN = InstrumentStatus.OPEN
_REASON_SELF_TRADE = OrderReason.SELF_TRADE
_REASON_SLIPPAGE_CAP = OrderReason.SLIPPAGE_CAP


class Auctions:
    """Ends auctions, and is the Ticks' queue of uncrosses that take longer."""

    __slots__ = ("_matcher", "_phases", "_recorder", "_state")

    def __init__(self, state: State, phases: Phases, matcher: Matcher, recorder: Recorder) -> None:
        self._state = state
        self._phases = phases
        self._matcher = matcher
        self._recorder = recorder

    def end(self, symbol: str) -> None:
        """Uncross and open an instrument; its timer came due."""
        book = self._state.books[symbol]
        book.phase_timer = None
        self.begin(book)

    def begin(self, book: Book) -> None:
        """Uncross as far as one command may, and open when it is done; one that has begun goes on."""
        state, symbol = self._state, book.instrument.symbol
        if symbol not in state.uncrossing:
            state.uncrossing[symbol] = state.sequence
            book.uncross_price = uncross_at(book).price
        self._go_on(book)

    def call_off(self, book: Book) -> None:
        """Leave an uncross as it stands: the instrument has another status."""
        self._state.uncrossing.pop(book.instrument.symbol, None)
        book.uncross_price = None

    @property
    def is_waiting(self) -> bool:
        """Whether a slice is wanted."""
        return self._next() is not None

    def run_slice(self) -> None:
        """Carry the oldest uncross a slice further, unless this command's timers began it."""
        book = self._next()
        if book is not None and self._state.uncrossing[book.instrument.symbol] < self._state.sequence:
            self._go_on(book)

    def _next(self) -> Book | None:
        """Return the book of the oldest uncross that may go on."""
        state = self._state
        for symbol in state.uncrossing:
            if not self._is_killed(state.books[symbol]):
                return state.books[symbol]
        return None

    def _is_killed(self, book: Book) -> bool:
        """Whether a kill switch stops all matching in a book."""
        return self._state.killed or book.killed

    def _go_on(self, book: Book) -> None:
        if self._is_killed(book):
            return
        self._recorder.books[book.instrument.symbol] = book
        operations = 0
        while book.is_crossed:
            heads = self._heads(book)
            if heads is None:
                # What was canceled between two slices moved the price.
                book.uncross_price = uncross_at(book).price
                continue
            if operations == UNCROSS_OPERATIONS_MAX:
                return
            operations += 1
            self._meet(*heads)
        self.call_off(book)
        self._phases.enter(book, _OPEN)

    def _heads(self, book: Book) -> tuple[Order, Order] | None:
        """Return the first orders of both sides, the earlier one first, if they meet at the price."""
        bid, ask, price = book.bids.best, book.asks.best, book.uncross_price
        assert bid is not None, "a crossed book has bids"
        assert ask is not None, "a crossed book has asks"
        assert price is not None, f"{book.instrument.symbol} does not uncross"
        if bid.price < price or ask.price > price:
            return None
        first, second = bid.head, ask.head
        assert first is not None, f"empty level {bid.price}"
        assert second is not None, f"empty level {ask.price}"
        return (first, second) if first.order_id < second.order_id else (second, first)

    def _meet(self, earlier: Order, later: Order) -> None:
        """Print a trade; the later order takes. Nobody trades with himself, should entry have let him."""
        book = later.book
        assert book.uncross_price is not None
        seller = earlier if later.is_buy else later
        lots = min(later.shown, earlier.shown)
        if one_owner(later, earlier):
            self._matcher.cancel(later, _REASON_SELF_TRADE)
        elif seller.state.notional + lots * book.uncross_price * book.instrument.notional_unit > INTEGER_MAX:
            # Prices rose while it waited: it would trade for more than an integer can state.
            self._matcher.cancel(seller, _REASON_SLIPPAGE_CAP)
        else:
            self._matcher.cross(later, earlier, book.uncross_price)

    def indicate(self, book: Book) -> AuctionIndicated | None:
        """Return where the book's auction would uncross now, if it is not what was stated last; ends a batch."""
        if book.instrument.status is not _AUCTION:
            book.indicated = None
            return None
        price, quantity, surplus = uncross_at(book)
        # Sums of many orders may pass 64 bits, which a record cannot carry.
        found = Uncross(price, min(quantity, INTEGER_MAX), max(-INTEGER_MAX, min(surplus, INTEGER_MAX)))
        if found == book.indicated:
            return None
        book.indicated = found
        return AuctionIndicated(book.instrument.symbol, self._state.sequence, *found)


def uncross_at(book: Book) -> Uncross:
    """Return where a book would uncross, by whole orders: what icebergs do not show counts too."""
    best_bid, best_ask = book.bids.best, book.asks.best
    if best_bid is None or best_ask is None or best_bid.price < best_ask.price:
        return uncross_of([], [], None)
    bids, asks = _reaching(book.bids, best_ask.price), _reaching(book.asks, best_bid.price)
    return uncross_of(bids, asks, book.reference_price())


def _reaching(side: BookSide, limit: int) -> BookLevels:
    """Return the levels up to a price, best first, with whole remainders."""
    found: BookLevels = []
    for level in side.best_first():
        if level.price * side.direction < limit * side.direction:
            break
        found.append((level.price, level.quantity + level.reserve))
    return found
