"""Instruments: listing and editing them, their status, and external reference prices.

A command that would leave an invalid instrument is refused and changes nothing; repeating a listing
answers the same instrument.
"""

import msgspec

from app.domain.commands import CreateInstrument, SetReference, UpdateInstrument
from app.domain.decimals import parse_decimal
from app.domain.enums import InstrumentStatus, OrderReason, RejectReason
from app.domain.events import InstrumentListed, ReferenceSet, Rejection
from app.domain.instrument import MAX_SLIPPAGE_DEFAULT, ORDER_TYPES, RATE_SCALE, Instrument, units_of
from app.domain.outcomes import Outcome
from app.engine.auctions import Auctions
from app.engine.book import Book
from app.engine.bounds import INTEGER_MAX
from app.engine.mass_cancel import MassCancels
from app.engine.phases import Phases, trail_of
from app.engine.recorder import Recorder, refuse
from app.engine.selection import Selection
from app.engine.state import DAY_NS, State

INSTRUMENTS_MAX = 10_000
_COUNTS = ("min_quantity", "max_quantity", "min_notional", "max_notional", "reference_price")
_RATES = ("price_band", "max_slippage", "maker_fee", "taker_fee")
_BREAKER = ("breaker_move", "breaker_window_ns", "breaker_halt_ns")
_TIMES = (("auction_ns", INTEGER_MAX), ("session_close_ns", DAY_NS - 1))
_EDITABLE = frozenset((*_COUNTS, *_RATES, *_BREAKER, *(name for name, _ in _TIMES)))
_MATCHING = (InstrumentStatus.OPEN, InstrumentStatus.POST_ONLY)
"""Statuses in which a book must not be crossed."""


class Instruments:
    """Executes create_instrument, update_instrument and set_reference."""

    __slots__ = ("_auctions", "_mass_cancels", "_phases", "_recorder", "_state")

    def __init__(
        self, state: State, phases: Phases, auctions: Auctions, mass_cancels: MassCancels, recorder: Recorder
    ) -> None:
        self._state = state
        self._phases = phases
        self._auctions = auctions
        self._mass_cancels = mass_cancels
        self._recorder = recorder

    # ---- listing -----------------------------------------------------------------------------

    def create(self, command: CreateInstrument) -> Outcome:
        """List an instrument; repeating the same command changes nothing."""
        state = self._state
        base_scale = state.assets.get(command.base)
        quote_scale = state.assets.get(command.quote)
        if base_scale is None or command.base == command.quote:
            return self._refused(RejectReason.INVALID_REQUEST, "base")
        if quote_scale is None:
            return self._refused(RejectReason.INVALID_REQUEST, "quote")
        tick, lot = parse_decimal(command.tick_size), parse_decimal(command.lot_size)
        if tick is None or tick.mantissa == 0:
            return self._refused(RejectReason.INVALID_REQUEST, "tick_size")
        lot_units = None if lot is None or lot.mantissa == 0 else units_of(lot, base_scale)
        if lot is None or lot_units is None or lot_units > INTEGER_MAX:
            return self._refused(RejectReason.INVALID_REQUEST, "lot_size")
        notional_step = type(tick)(tick.mantissa * lot.mantissa, tick.scale + lot.scale)
        # 0.5 x 0.2 is 0.10: needless zeros must not make the product look finer than it is.
        while notional_step.mantissa % 10 == 0:
            notional_step = type(tick)(notional_step.mantissa // 10, notional_step.scale - 1)
        notional_unit = units_of(notional_step, quote_scale)
        if notional_unit is None or notional_unit > INTEGER_MAX:
            return self._refused(RejectReason.INVALID_REQUEST, "tick_size")
        instrument = Instrument(
            symbol=command.symbol,
            base=command.base,
            quote=command.quote,
            tick_size=command.tick_size,
            lot_size=command.lot_size,
            base_scale=base_scale,
            quote_scale=quote_scale,
            notional_unit=notional_unit,
            lot_units=lot_units,
            min_quantity=command.min_quantity,
            max_quantity=command.max_quantity,
            min_notional=command.min_notional,
            max_notional=command.max_notional,
            price_band=command.price_band,
            reference_price=command.reference_price,
            max_slippage=MAX_SLIPPAGE_DEFAULT if command.max_slippage is None else command.max_slippage,
            maker_fee=command.maker_fee,
            taker_fee=command.taker_fee,
            order_types=ORDER_TYPES if command.order_types is None else command.order_types,
            status=command.status,
            breaker_move=command.breaker_move,
            breaker_window_ns=command.breaker_window_ns,
            breaker_halt_ns=command.breaker_halt_ns,
            auction_ns=command.auction_ns,
            session_close_ns=command.session_close_ns,
        )
        return self._list(instrument)

    def _list(self, instrument: Instrument) -> Outcome:
        state = self._state
        known = state.books.get(instrument.symbol)
        if known is not None:
            if known.instrument == instrument:
                return self._done(duplicate=True, instrument=instrument)
            return self._refused(RejectReason.INVALID_REQUEST, "symbol")
        field = invalid_field(instrument)
        if field is not None or len(state.books) >= INSTRUMENTS_MAX:
            return self._refused(RejectReason.INVALID_REQUEST, field or "symbol")
        book = state.books[instrument.symbol] = Book(instrument)
        book.trail = trail_of(instrument)
        book.is_veiled = instrument.status is InstrumentStatus.AUCTION
        self._recorder.books[instrument.symbol] = book
        self._recorder.system(InstrumentListed(state.sequence, instrument))
        return self._done(instrument=instrument)

    # ---- editing -----------------------------------------------------------------------------

    def update(self, command: UpdateInstrument) -> Outcome:
        """Edit status, filters, fees or times. Any status that is given calls off what time would have changed."""
        book = self._state.books.get(command.symbol)
        if book is None:
            return self._refused(RejectReason.UNKNOWN_SYMBOL, "symbol")
        rejection = self._refusal(book, command)
        if rejection is not None:
            return self._outcome(rejection)
        changes: dict[str, object] = dict(command.changes)
        if command.order_types is not None:
            changes["order_types"] = command.order_types
        # An auction opens by its uncross: until that is done its status stays.
        uncrosses = command.status is InstrumentStatus.OPEN and book.instrument.status is InstrumentStatus.AUCTION
        if command.status is not None and not uncrosses:
            changes["status"] = command.status
        instrument = msgspec.structs.replace(book.instrument, **changes)
        field = invalid_field(instrument)
        if field is not None:
            return self._refused(RejectReason.INVALID_REQUEST, field)
        if changes or not uncrosses:
            self._phases.redefine(book, instrument)
        if command.status is not None:
            self._change_phase(book, command.status, uncrosses=uncrosses)
        return self._done(instrument=book.instrument)

    def _refusal(self, book: Book, command: UpdateInstrument) -> Rejection | None:
        """Return why the command cannot be meant, whatever its values."""
        if book.instrument.status is InstrumentStatus.CLOSED:
            return refuse(RejectReason.INSTRUMENT_NOT_OPEN, field="status")
        if not command.changes.keys() <= _EDITABLE:
            return refuse(RejectReason.INVALID_REQUEST, field="filters")
        if command.status in _MATCHING and book.is_crossed:
            is_auction = book.instrument.status is InstrumentStatus.AUCTION
            if not (is_auction and command.status is InstrumentStatus.OPEN):
                return refuse(RejectReason.INSTRUMENT_NOT_OPEN, field="status")
        return None

    def _change_phase(self, book: Book, status: InstrumentStatus, *, uncrosses: bool) -> None:
        """Do what a status that an administrator gave brings with it."""
        self._phases.call_off(book)
        if uncrosses:
            self._auctions.begin(book)
        elif status is not InstrumentStatus.AUCTION:
            self._auctions.call_off(book)
        if status is InstrumentStatus.CLOSED:
            self._mass_cancels.queue(Selection(symbols=(book.instrument.symbol,)), OrderReason.INSTRUMENT_CLOSED)

    def set_reference(self, command: SetReference) -> Outcome:
        """Take over an external price; it counts for the mark price while it is young."""
        state = self._state
        book = state.books.get(command.symbol)
        if book is None:
            return self._refused(RejectReason.UNKNOWN_SYMBOL, "symbol")
        if book.instrument.status is InstrumentStatus.CLOSED:
            return self._refused(RejectReason.INSTRUMENT_NOT_OPEN, "status")
        if not 0 < command.price <= INTEGER_MAX:
            return self._refused(RejectReason.INVALID_REQUEST, "price")
        book.external = command.price, state.timestamp_ns
        self._recorder.system(ReferenceSet(state.sequence, command.symbol, command.price))
        return self._done()

    # ---- outcomes ----------------------------------------------------------------------------

    def _done(self, *, duplicate: bool = False, instrument: Instrument | None = None) -> Outcome:
        state = self._state
        return Outcome(state.sequence, state.timestamp_ns, duplicate=duplicate, instrument=instrument)

    def _refused(self, reason: RejectReason, field: str) -> Outcome:
        return self._outcome(refuse(reason, field=field))

    def _outcome(self, rejection: Rejection) -> Outcome:
        return Outcome(self._state.sequence, self._state.timestamp_ns, rejection)


def invalid_field(instrument: Instrument) -> str | None:
    """Return the first field whose value makes no valid instrument, or None."""
    for name in _COUNTS:
        value = getattr(instrument, name)
        if value is not None and not 0 < value <= INTEGER_MAX:
            return name
    for low, high in (("min_quantity", "max_quantity"), ("min_notional", "max_notional")):
        least, most = getattr(instrument, low), getattr(instrument, high)
        if least is not None and most is not None and least > most:
            return high
    for name in _RATES:
        value = getattr(instrument, name)
        lowest = 1 - RATE_SCALE if name == "maker_fee" else 0
        # Only the band can be lifted: without a fee or a slippage no order could be priced.
        if not (name == "price_band" if value is None else lowest <= value < RATE_SCALE):
            return name
    # A rebate above the taker fee would let two accounts drain the fee account.
    if instrument.taker_fee < -instrument.maker_fee:
        return "taker_fee"
    if instrument.price_band is not None and instrument.reference_price is None:
        return "reference_price"
    return _invalid_time(instrument) or (None if instrument.order_types else "order_types")


def _invalid_time(instrument: Instrument) -> str | None:
    """Return the first field that makes no breaker (all or none is set), no auction or no session; or None."""
    breaker = [getattr(instrument, name) for name in _BREAKER]
    if any(value is not None for value in breaker):
        for name, value in zip(_BREAKER, breaker, strict=True):
            if value is None or not 0 < value <= INTEGER_MAX:
                return name
    for name, most in _TIMES:
        value = getattr(instrument, name)
        if value is None or not 0 <= value <= most:
            return name
    return None
