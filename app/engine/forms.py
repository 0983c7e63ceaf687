"""Which fields make an order: the form check of each type, and when an order ends by time.

The first bad field refuses the order. Nothing here looks at the book or at balances.
"""

from app.domain.commands import PlaceOrder
from app.domain.enums import OrderType, RejectReason, SelfTradePrevention, Side, TimeInForce, TriggerBy
from app.domain.events import Rejection
from app.domain.instrument import Instrument
from app.engine.book import Book
from app.engine.bounds import INTEGER_MAX
from app.engine.recorder import refuse
from app.engine.state import DAY_NS

_LIMIT, _MARKET, _TRAILING = OrderType.LIMIT, OrderType.MARKET, OrderType.TRAILING_STOP
_PRICED = frozenset({_LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT})
_TRIGGERED = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT})
_BUY = Side.BUY
_DAY, _FOK, _GTC, _GTD, _IOC = TimeInForce.DAY, TimeInForce.FOK, TimeInForce.GTC, TimeInForce.GTD, TimeInForce.IOC
_AT_ONCE = (_IOC, _FOK)
_LAST = TriggerBy.LAST
_DECREMENT = SelfTradePrevention.DECREMENT
_INVALID = RejectReason.INVALID_REQUEST


def check_form(terms: PlaceOrder, book: Book, timestamp_ns: int) -> Rejection | None:
    """Refuse combinations of fields that make no order."""
    order_type = terms.type
    if order_type not in book.instrument.order_types:
        return refuse(RejectReason.TYPE_NOT_ALLOWED, field="type")
    if _is_plain(terms):
        return None
    field = _bad_field(terms, book, timestamp_ns)
    if field is not None:
        return refuse(_INVALID, field=field)
    if terms.time_in_force is _GTD:
        if terms.expire_ns is None:
            return refuse(_INVALID, field="expire_ns")
        if terms.expire_ns <= timestamp_ns:
            return refuse(_INVALID, field="expire_ns", limit=timestamp_ns, actual=terms.expire_ns, unit="ns")
    elif terms.expire_ns is not None:
        return refuse(_INVALID, field="expire_ns")
    if terms.max_slippage is not None and order_type in _PRICED:
        return refuse(_INVALID, field="max_slippage")
    return None


def _is_plain(terms: PlaceOrder) -> bool:
    """Return whether it is a limit or market order as most are: sound, and nothing in it that is rare."""
    if (
        terms.trigger_price is not None
        or terms.trigger_by is not None
        or terms.trailing_offset is not None
        or terms.display_quantity is not None
        or terms.quote_quantity is not None
        or terms.expire_ns is not None
    ):
        return False
    time_in_force = terms.time_in_force
    if terms.type is _LIMIT:
        if terms.price is None or terms.max_slippage is not None:
            return False
        return time_in_force is _GTC or (time_in_force in _AT_ONCE and terms.post_only is None)
    if terms.type is _MARKET:
        return terms.price is None and terms.post_only is None and time_in_force in _AT_ONCE
    return False


def _bad_field(terms: PlaceOrder, book: Book, timestamp_ns: int) -> str | None:
    """Return the first field before expire_ns that does not fit the type, or None."""
    order_type = terms.type
    priced = order_type in _PRICED
    at_once = terms.time_in_force in _AT_ONCE
    if (terms.price is not None) is not priced:
        return "price"
    if at_once is not (order_type is _MARKET) and not (at_once and priced):
        return "time_in_force"
    may_rest = priced and not at_once
    if terms.post_only is not None and not may_rest:
        return "post_only"
    field = _bad_trigger(terms, book, timestamp_ns)
    if field is not None:
        return field
    display = terms.display_quantity
    if display is not None and not (may_rest and 0 < display < terms.quantity):
        return "display_quantity"
    return None if terms.quote_quantity is None else _bad_money(terms)


def _bad_trigger(terms: PlaceOrder, book: Book, timestamp_ns: int) -> str | None:
    order_type, trigger, offset = terms.type, terms.trigger_price, terms.trailing_offset
    is_trailing = order_type is _TRAILING
    if order_type in _TRIGGERED:
        if trigger is None or not 0 < trigger <= INTEGER_MAX:
            return "trigger_price"
    elif trigger is not None:
        return "trigger_price"
    by = terms.trigger_by
    if by is not None:
        if order_type not in _TRIGGERED and not is_trailing:
            return "trigger_by"
        if by is not _LAST and (is_trailing or book.mark_price(timestamp_ns) is None):
            return "trigger_by"
    if is_trailing:
        return None if offset is not None and 0 < offset <= INTEGER_MAX else "trailing_offset"
    return None if offset is None else "trailing_offset"


def _bad_money(terms: PlaceOrder) -> str | None:
    """Return the field that keeps an order from being a market buy by quote_quantity, or None."""
    if terms.type is not _MARKET or terms.side is not _BUY or terms.time_in_force is not _IOC:
        return "quote_quantity"
    if terms.quantity:
        return "quantity"
    if terms.stp is _DECREMENT:
        return "stp"
    return "reduce_only" if terms.reduce_only else None


def end_of(terms: PlaceOrder, instrument: Instrument, timestamp_ns: int) -> int | None:
    """Return when an order accepted now ends by time, in UTC nanoseconds, or None."""
    if terms.time_in_force is _GTD:
        return terms.expire_ns
    if terms.time_in_force is _DAY:
        close = timestamp_ns - timestamp_ns % DAY_NS + instrument.session_close_ns
        return close if close > timestamp_ns else close + DAY_NS
    return None
