"""Which fields make an order: the reference model's table of order types (first bad field wins)."""

from app.domain.commands import PlaceOrder
from app.domain.enums import OrderType, RejectReason, SelfTradePrevention, Side, TimeInForce, TriggerBy
from app.domain.instrument import Instrument
from tests.property.reference_listing import INTEGER_MAX, INVALID
from tests.property.reference_records import Refused

LIMIT, MARKET, TRAILING = OrderType.LIMIT, OrderType.MARKET, OrderType.TRAILING_STOP
PRICED = {LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT}
TRIGGERED = {OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT}
"""Types with a trigger price of their own."""
CAPPED = {MARKET, OrderType.STOP, OrderType.TAKE_PROFIT, TRAILING}
"""Types that trade up to a cap."""
AT_ONCE = {TimeInForce.IOC, TimeInForce.FOK}


def check_form(terms: PlaceOrder, instrument: Instrument, now_ns: int, mark_price: int | None) -> None:
    """Refuse what makes no order."""
    if terms.type not in instrument.order_types:
        raise Refused(RejectReason.TYPE_NOT_ALLOWED, "type")
    if terms.time_in_force is TimeInForce.GTD and terms.expire_ns is not None and terms.expire_ns <= now_ns:
        late = Refused(INVALID, "expire_ns", limit=now_ns, actual=terms.expire_ns, unit="ns")
    else:
        late = None
    for field, is_sound in soundness(terms, mark_price).items():
        if not is_sound:
            raise Refused(INVALID, field)
        if field == "expire_ns" and late is not None:
            raise late


def soundness(terms: PlaceOrder, mark_price: int | None) -> dict[str, bool]:
    """Return for each field, in the order of the checks, whether it fits the order's type."""
    kind, rests = terms.type, terms.time_in_force not in AT_ONCE
    has_trigger = kind in TRIGGERED or kind is TRAILING
    allowed = {MARKET: not rests}.get(kind, rests or kind in PRICED)
    display, quote, offset = terms.display_quantity, terms.quote_quantity, terms.trailing_offset
    buys_now = kind is MARKET and terms.side is Side.BUY and terms.time_in_force is TimeInForce.IOC
    by = terms.trigger_by
    return {
        "price": (terms.price is not None) is (kind in PRICED),
        "time_in_force": allowed,
        "post_only": terms.post_only is None or (kind in PRICED and rests),
        "trigger_price": in_range(terms.trigger_price) if kind in TRIGGERED else terms.trigger_price is None,
        "trigger_by": by is None
        or (has_trigger and (by is TriggerBy.LAST or (kind is not TRAILING and mark_price is not None))),
        "trailing_offset": in_range(offset) if kind is TRAILING else offset is None,
        "display_quantity": display is None or (kind in PRICED and rests and 0 < display < terms.quantity),
        "quote_quantity": quote is None or buys_now,
        "quantity": quote is None or terms.quantity == 0,
        "stp": quote is None or terms.stp is not SelfTradePrevention.DECREMENT,
        "reduce_only": quote is None or not terms.reduce_only,
        "expire_ns": (terms.expire_ns is not None) is (terms.time_in_force is TimeInForce.GTD),
        "max_slippage": terms.max_slippage is None or kind in CAPPED,
    }


def in_range(price: int | None) -> bool:
    return price is not None and 1 <= price <= INTEGER_MAX
