"""Compares prices with the orders that wait for them, and queues those that fire.

An order fires by prints, or changes of the mark price, of commands later than the one that armed it:
until its command ends it is not compared. Firing states nothing; the order runs in a Tick
(trigger_queue.py). Called by the matcher at each print, and by the engine at the end of each command.
"""

from collections.abc import Iterable

from app.domain.enums import TriggerBy
from app.domain.events import Event, InstrumentListed, OrderEvent, ReferenceSet
from app.engine.book import Book
from app.engine.state import Order, SeenMark, State
from app.engine.triggers import BookTriggers

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_MARK = TriggerBy.MARK


class TriggerWatch:
    """Arms, disarms and fires."""

    __slots__ = ("_state", "arriving")

    def __init__(self, state: State) -> None:
        self._state = state
        self.arriving: list[Order] = []
        """Armed by the command being applied."""

    def arm(self, order: Order) -> None:
        """Let an untriggered order wait for its price from the end of this command on."""
        self.arriving.append(order)

    def disarm(self, order: Order) -> None:
        """Forget an order that waits or has fired; nothing happens if it does neither."""
        if order in self.arriving:
            self.arriving.remove(order)
        triggers = order.book.triggers
        if triggers is not None:
            triggers.remove(order)

    def fire(self, order: Order) -> None:
        """Queue an order that waits for no price any more."""
        if order.book.triggers is None:
            order.book.triggers = BookTriggers()
        self._queue(order.book, [order])

    def printed(self, book: Book, price: int) -> None:
        """Compare a print with what waits in its book."""
        triggers = book.triggers
        assert triggers is not None
        if not triggers.below < price < triggers.above:
            self._queue(book, triggers.take(price))

    def close_command(self, events: Iterable[Event]) -> None:
        """Compare the mark prices that the command's events changed, then let wait what the command armed.

        Nothing happens unless orders arrived or mark prices are watched.
        """
        state = self._state
        if state.marks or any(isinstance(event, ReferenceSet) for event in events):
            for symbol in sorted(_symbols(events)):
                self._look_at(state.books[symbol])
        for order in self.arriving:
            book = order.book
            if book.triggers is None:
                book.triggers = BookTriggers()
            book.triggers.add(order)
            if order.terms.trigger_by is _MARK and book.instrument.symbol not in state.marks:
                state.marks[book.instrument.symbol] = self._mark_of(book)
        self.arriving.clear()

    def _look_at(self, book: Book) -> None:
        """Compare a watched book's mark price if it differs from what was seen before."""
        symbol, marks = book.instrument.symbol, self._state.marks
        before = marks.get(symbol)
        if before is None:
            if book.external is not None:
                marks[symbol] = self._mark_of(book)
            return
        # An external price that merely grew too old is no change.
        if made_of(book) == before.made_of:
            return
        now = marks[symbol] = self._mark_of(book)
        if now.mark_price is not None and now.mark_price != before.mark_price and book.triggers is not None:
            self._queue(book, book.triggers.take_marked(now.mark_price))

    def _mark_of(self, book: Book) -> SeenMark:
        return SeenMark(book.mark_price(self._state.timestamp_ns), made_of(book))

    def _queue(self, book: Book, fired: list[Order]) -> None:
        state, triggers = self._state, book.triggers
        assert triggers is not None
        if fired:
            state.firing[book.instrument.symbol] = book
        for order in fired:
            state.fired += 1
            triggers.fired[order.order_id] = state.fired, order


def made_of(book: Book) -> tuple[int | None, int, int, tuple[int, int] | None]:
    """Return what a book's mark price is made of."""
    bid, ask = (None, None) if book.is_hidden else (book.bids.best, book.asks.best)
    return book.last_price, 0 if bid is None else bid.price, 0 if ask is None else ask.price, book.external


def _symbols(events: Iterable[Event]) -> set[str]:
    """Return the instruments whose prices the events may have changed."""
    symbols = set()
    for event in events:
        if isinstance(event, OrderEvent):
            symbols.add(event.order.terms.symbol)
        elif isinstance(event, InstrumentListed):
            symbols.add(event.instrument.symbol)
        elif isinstance(event, ReferenceSet):
            symbols.add(event.symbol)
    return symbols
