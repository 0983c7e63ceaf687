"""The channels of one order book: every delta of the full book, and views of it.

A view limits depth, merges deltas over an interval, or adds a checksum. All subscribers of equal
options share one view, so each frame is made once. A view's chain runs over the seqs it has
sent: `prev_seq` is the last of them, whatever was merged or out of sight in between.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Callable

from app.domain.events import BookDelta, BookLevels
from app.protocol.messages import BookOptions
from app.protocol.shapes import timestamp_text
from app.streaming.channel_state import CHECKSUM_LEVELS, BookState, checksum
from app.streaming.fanout import FirstFrame, LiveChannel, Reason

RAW = BookOptions()


class BookChannel(LiveChannel):
    """Every delta of the full book, the default subscription."""

    def __init__(self, symbol: str, book: Callable[[], BookState | None]) -> None:
        super().__init__(f"orderbook:{symbol}")
        self._book = book
        self._first: tuple[tuple[int, int, Reason], FirstFrame] | None = None

    def first_frame(self, reason: Reason) -> FirstFrame | None:
        """Return the snapshot, made once for all who ask at the same seq."""
        book = self._book()
        if book is None:
            return None
        key = (book.epoch, book.seq, reason)
        if self._first is None or self._first[0] != key:
            self._first = (key, FirstFrame(snapshot_text(self.name, book, book.full_text(), reason), book.seq))
        return self._first[1]

    def follow(self, delta: BookDelta) -> None:
        """Show a delta that was just applied to the book."""
        book = self._book()
        if self.members and book is not None:
            levels = book.levels_text(delta.bids, delta.asks)
            self.publish(delta_text(self.name, book, delta.prev_seq, levels), delta.seq)


class BookView(LiveChannel):
    """The book as one set of options shows it; subclasses know which levels changed in sight."""

    def __init__(self, symbol: str, options: BookOptions, book: Callable[[], BookState | None]) -> None:
        super().__init__(f"orderbook:{symbol}")
        self._book = book
        self._depth = options.depth
        self._with_checksum = options.checksum
        self._interval_s = (options.interval_ms or 0) / 1000
        self._last_frame_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._position: tuple[int, int] | None = None
        """(epoch, seq) of the last frame; None while nobody needs the chain."""

    def first_frame(self, reason: Reason) -> FirstFrame | None:
        """Return the view as it stands; those who follow it already are brought to the same seq first."""
        book = self._book()
        if book is None:
            return None
        if self._position is not None and any(member.is_live for member in self.members):
            self.flush()
        else:
            self._restart(book)
            self._position = (book.epoch, book.seq)
        levels = book.levels_text(book.bids.top(self._depth), book.asks.top(self._depth))
        return FirstFrame(snapshot_text(self.name, book, levels, reason, self._checksum(book)), book.seq)

    def follow(self, delta: BookDelta) -> None:
        """Show a delta that was just applied to the book, now or when the interval is over."""
        if not self.members:
            self._position = None
            return
        self._note(delta)
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        due = self._last_frame_s + self._interval_s
        if loop.time() >= due:
            self._show(even_if_empty=False)
        else:
            self._timer = loop.call_at(due, self._interval_is_over)

    def flush(self) -> None:
        """Bring the view to the book's seq, with an empty delta if nothing changed in sight."""
        self._show(even_if_empty=True)

    def stop(self) -> None:
        """Show nothing more of what came by."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _show(self, *, even_if_empty: bool) -> None:
        self.stop()
        book = self._book()
        if book is None or self._position is None or self._position[0] != book.epoch:
            return
        prev_seq = self._position[1]
        if prev_seq == book.seq:
            return
        bids, asks = self._changes(book)
        if not even_if_empty and not bids and not asks:
            return
        self._position = (book.epoch, book.seq)
        self._last_frame_s = asyncio.get_running_loop().time()
        levels = book.levels_text(bids, asks)
        self.publish(delta_text(self.name, book, prev_seq, levels, self._checksum(book)), book.seq)

    def _interval_is_over(self) -> None:
        self._timer = None
        self._show(even_if_empty=False)

    def _checksum(self, book: BookState) -> int | None:
        if not self._with_checksum:
            return None
        depth = min(CHECKSUM_LEVELS, self._depth or CHECKSUM_LEVELS)
        return checksum(book.bids.top(depth), book.asks.top(depth))

    @abstractmethod
    def _restart(self, book: BookState) -> None:
        """Take the book as what everybody knows."""

    @abstractmethod
    def _note(self, delta: BookDelta) -> None:
        """Remember what a delta touched."""

    @abstractmethod
    def _changes(self, book: BookState) -> tuple[BookLevels, BookLevels]:
        """Return bids and asks that changed in sight since the last call, best first."""


class FullView(BookView):
    """The full book, merged over an interval or with a checksum: it remembers the prices that were touched."""

    _bids: set[int]
    _asks: set[int]

    def _restart(self, book: BookState) -> None:
        self._bids, self._asks = set(), set()

    def _note(self, delta: BookDelta) -> None:
        if self._position is not None:
            self._bids.update([price for price, _ in delta.bids])
            self._asks.update([price for price, _ in delta.asks])

    def _changes(self, book: BookState) -> tuple[BookLevels, BookLevels]:
        bids, asks = book.bids.levels, book.asks.levels
        changed = (
            [(price, bids.get(price, 0)) for price in sorted(self._bids, reverse=True)],
            [(price, asks.get(price, 0)) for price in sorted(self._asks)],
        )
        self._restart(book)
        return changed


class DepthView(BookView):
    """The best levels only: it remembers them, and a level that moves out of sight is removed."""

    _bids: dict[int, int]
    _asks: dict[int, int]

    def _restart(self, book: BookState) -> None:
        self._bids, self._asks = dict(book.bids.top(self._depth)), dict(book.asks.top(self._depth))

    def _note(self, delta: BookDelta) -> None:
        pass

    def _changes(self, book: BookState) -> tuple[BookLevels, BookLevels]:
        bids, asks = self._bids, self._asks
        self._restart(book)
        return sorted(_difference(bids, self._bids), reverse=True), sorted(_difference(asks, self._asks))


def _difference(before: dict[int, int], after: dict[int, int]) -> BookLevels:
    changed = [level for level in after.items() if before.get(level[0]) != level[1]]
    return changed + [(price, 0) for price in before if price not in after]


def book_channel(symbol: str, options: BookOptions, book: Callable[[], BookState | None]) -> BookChannel | BookView:
    """Return the channel that shows a book under some options."""
    if options == RAW:
        return BookChannel(symbol, book)
    return (FullView if options.depth is None else DepthView)(symbol, options, book)


def snapshot_text(channel: str, book: BookState, levels: str, reason: Reason, check: int | None = None) -> str:
    """Return a `messages.BookSnapshotFrame` as JSON; `levels` are its bids and asks."""
    return (
        f'{{"type":"snapshot","channel":"{channel}","epoch":{book.epoch},"seq":{book.seq},'
        f'"engine_seq":{book.engine_seq},"ts":"{timestamp_text(book.timestamp_ns)}",{levels},"reason":"{reason}"'
        + ("}" if check is None else f',"checksum":{check}}}')
    )


def delta_text(channel: str, book: BookState, prev_seq: int, levels: str, check: int | None = None) -> str:
    """Return a `messages.BookDeltaFrame` up to the book's seq as JSON; `levels` are its bids and asks."""
    return (
        f'{{"type":"delta","channel":"{channel}","epoch":{book.epoch},"prev_seq":{prev_seq},"seq":{book.seq},'
        f'"engine_seq":{book.engine_seq},"ts":"{timestamp_text(book.timestamp_ns)}",{levels}'
        + ("}" if check is None else f',"checksum":{check}}}')
    )
