"""Committed books, for replicas that start to follow one: the publisher view.

The engine's own books run ahead of the journal; this view changes only after a commit, so nothing
uncommitted is visible anywhere.
"""

from app.domain.events import BookDelta, BookLevels
from app.engine.book import Book
from app.engine.engine import SealedBook
from app.protocol.ports import BookView


class CommittedBook:
    """Levels of one book as published."""

    __slots__ = ("asks", "auction", "bids", "seq", "timestamp_ns")

    def __init__(self, timestamp_ns: int) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.seq = 0
        self.timestamp_ns = timestamp_ns
        """Time of the last change, or of the listing."""
        self.auction: tuple[int, int, int] | None = None
        """Price, quantity and surplus that a call auction stated last."""

    def apply(self, delta: BookDelta, timestamp_ns: int) -> None:
        """Apply one published change."""
        assert delta.prev_seq == self.seq, f"{delta.symbol}: expected a delta after {self.seq}, was {delta.prev_seq}"
        self.seq = delta.seq
        self.timestamp_ns = timestamp_ns
        for levels, changes in ((self.bids, delta.bids), (self.asks, delta.asks)):
            for price, quantity in changes:
                if quantity:
                    levels[price] = quantity
                else:
                    del levels[price]


class PublisherView:
    """All committed books of the shard."""

    def __init__(self) -> None:
        self._books: dict[str, CommittedBook] = {}
        self.head_seq = 0
        self.epoch = 0

    def load(self, books: dict[str, Book], *, head_seq: int, epoch: int, timestamp_ns: int) -> None:
        """Take over the books of an engine that stands at the committed head."""
        self.head_seq = head_seq
        self.start_epoch(epoch)
        for symbol, book in books.items():
            committed = self._books[symbol] = CommittedBook(timestamp_ns)
            bids, asks = book.published_levels()
            committed.bids, committed.asks = dict(bids), dict(asks)
            committed.seq = book.seq
            committed.auction = book.indicated

    def open_book(self, symbol: str, timestamp_ns: int) -> None:
        """Know an instrument whose book is still empty since it was listed."""
        self._books.setdefault(symbol, CommittedBook(timestamp_ns))

    def start_epoch(self, epoch: int) -> None:
        """Number every book anew."""
        self.epoch = epoch
        for book in self._books.values():
            book.seq = 0

    def commit(self, books: list[SealedBook], *, head_seq: int, timestamp_ns: int) -> None:
        """Apply a batch that was committed."""
        self.head_seq = head_seq
        for book in books:
            committed = self._books.setdefault(book.symbol, CommittedBook(timestamp_ns))
            if book.delta is not None:
                committed.apply(book.delta, timestamp_ns)
            if book.auction is not None:
                committed.auction = book.auction.price, book.auction.quantity, book.auction.surplus

    def book(self, symbol: str) -> BookView | None:
        """Return a whole book, best levels first, or None for an unknown symbol."""
        committed = self._books.get(symbol)
        if committed is None:
            return None
        bids: BookLevels = sorted(committed.bids.items(), reverse=True)
        asks: BookLevels = sorted(committed.asks.items())
        auction = committed.auction
        return BookView(symbol, self.head_seq, self.epoch, committed.seq, committed.timestamp_ns, bids, asks, auction)
