"""Phases of an instrument: its status, and what time does to it.

A breaker halts it; the halt ends in a call auction or in open trading. A status that an administrator
gives calls that off. Opening forgets the prices that a breaker measures against.
"""

import msgspec

from app.domain.enums import InstrumentStatus
from app.domain.events import InstrumentListed
from app.domain.instrument import Instrument
from app.engine.book import Book
from app.engine.breaker import PriceTrail
from app.engine.recorder import Recorder
from app.engine.state import State
from app.engine.timers import AUCTION_END, HALT_END

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_AUCTION = InstrumentStatus.AUCTION
_HALTED = InstrumentStatus.HALTED
_OPEN = InstrumentStatus.OPEN


class Phases:
    """The only writer of an instrument's definition and status."""

    __slots__ = ("_recorder", "_state")

    def __init__(self, state: State, recorder: Recorder) -> None:
        self._state = state
        self._recorder = recorder

    def redefine(self, book: Book, instrument: Instrument) -> None:
        """Give a book another definition, and state it."""
        before = book.instrument
        book.define(instrument)
        if instrument.status is not before.status:
            if instrument.status is _OPEN and book.trail is not None:
                book.trail.clear()
            if instrument.status is _AUCTION:
                book.is_veiled = True
        if breaker_of(instrument) != breaker_of(before):
            book.trail = trail_of(instrument)
        self._recorder.books[instrument.symbol] = book
        self._recorder.system(InstrumentListed(self._state.sequence, instrument))

    def enter(self, book: Book, status: InstrumentStatus) -> None:
        """Change the status alone."""
        self.redefine(book, msgspec.structs.replace(book.instrument, status=status))

    def halt(self, book: Book) -> None:
        """Stop trading because a print would have been too far away; time ends it."""
        halt_ns = book.instrument.breaker_halt_ns
        assert halt_ns is not None, f"{book.instrument.symbol} has no breaker"
        self.enter(book, _HALTED)
        self._arm(book, HALT_END, halt_ns)

    def end_halt(self, symbol: str) -> None:
        """Go on after a halt, by a call auction if the instrument has one; the timer came due."""
        book = self._state.books[symbol]
        book.phase_timer = None
        auction_ns = book.instrument.auction_ns
        self.enter(book, _AUCTION if auction_ns else _OPEN)
        if auction_ns:
            self._arm(book, AUCTION_END, auction_ns)

    def call_off(self, book: Book) -> None:
        """Let time change nothing: somebody decided otherwise."""
        if book.phase_timer is not None:
            kind, due_ns = book.phase_timer
            self._state.timers.disarm(due_ns, kind, book.instrument.symbol)
            book.phase_timer = None

    def _arm(self, book: Book, kind: int, length_ns: int) -> None:
        due_ns = self._state.timestamp_ns + length_ns
        book.phase_timer = kind, due_ns
        self._state.timers.arm(due_ns, kind, book.instrument.symbol)


def breaker_of(instrument: Instrument) -> tuple[int, int] | None:
    """Return move and window of an instrument's breaker, or None if it has none."""
    move, window_ns = instrument.breaker_move, instrument.breaker_window_ns
    return None if move is None or window_ns is None else (move, window_ns)


def trail_of(instrument: Instrument) -> PriceTrail | None:
    """Return an empty trail for an instrument's breaker: another one begins anew."""
    breaker = breaker_of(instrument)
    return None if breaker is None else PriceTrail(*breaker)
