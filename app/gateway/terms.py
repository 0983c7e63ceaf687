"""From a body to its command: decimal text to integers, and what needs no engine to be refused.

Which fields make an order of which type is the engine's to say; here only what has no integers,
or no meaning at all, is refused. Raises ApiError naming the field.
"""

from collections.abc import Sequence
from datetime import datetime
from time import time_ns

from app.domain.commands import AmendOrder, PlaceOrder
from app.domain.decimals import parse_decimal
from app.domain.enums import OrderType, SelfTradePrevention, TimeInForce
from app.domain.instrument import Instrument
from app.errors import ApiError
from app.gateway.numbers import INTEGER_MAX, amount_units, price_ticks, quantity_lots, rate_units
from app.protocol import schemas
from app.protocol.timestamps import timestamp_ns

DEADLINE_MS_MAX = 60_000
_AMENDABLE = ("price", "quantity", "display_quantity", "trigger_price")


def place_command(
    account_id: int, request: schemas.PlaceOrderRequest, instrument: Instrument, session_id: str | None
) -> PlaceOrder:
    """Return the command of an order body."""
    if (request.quantity is None) is (request.quote_quantity is None):
        raise ApiError("invalid_request", "expected exactly one of quantity and quote_quantity", field="quantity")
    if request.price is None and request.type is OrderType.LIMIT:
        raise ApiError("invalid_request", "a limit order needs a price", field="price")
    default_time = TimeInForce.IOC if request.type is OrderType.MARKET else TimeInForce.GTC

    def ticks(text: str | None, field: str) -> int | None:
        return None if text is None else price_ticks(text, instrument, field)

    def lots(text: str | None, field: str) -> int | None:
        return None if text is None else quantity_lots(text, instrument, field)

    return PlaceOrder(
        account_id,
        request.symbol,
        request.side,
        request.type,
        lots(request.quantity, "quantity") or 0,
        ticks(request.price, "price"),
        default_time if request.time_in_force is None else request.time_in_force,
        request.client_order_id,
        request.post_only,
        SelfTradePrevention.CANCEL_NEWEST if request.stp is None else request.stp,
        request.label,
        None if request.max_slippage is None else rate_units(request.max_slippage, "max_slippage"),
        session_id,
        request.reduce_only,
        lots(request.display_quantity, "display_quantity"),
        ticks(request.trigger_price, "trigger_price"),
        request.trigger_by,
        ticks(request.trailing_offset, "trailing_offset"),
        None if request.quote_quantity is None else _quote_units(request.quote_quantity, instrument),
        None if request.expire_at is None else timestamp_ns(request.expire_at, field="expire_at"),
    )


def amend_command(
    account_id: int, order_id: str, request: schemas.AmendOrderRequest, symbols: tuple[str, ...] | None
) -> AmendOrder:
    """Return the command of an amend body: its numbers travel as decimals, whatever the instrument."""
    given = [getattr(request, field) for field in _AMENDABLE]
    if given == [None] * len(given):
        raise ApiError("invalid_request", f"expected one of {', '.join(_AMENDABLE)}", field="price")
    (price, price_scale), (quantity, quantity_scale), (display, display_scale), (trigger, trigger_scale) = [
        decimal_parts(text, field) for text, field in zip(given, _AMENDABLE, strict=True)
    ]
    return AmendOrder(
        account_id,
        order_number(order_id),
        price,
        quantity,
        request.if_version,
        price_scale,
        quantity_scale,
        symbols,
        display,
        display_scale,
        trigger,
        trigger_scale,
    )


def decimal_parts(text: str | None, field: str) -> tuple[int | None, int | None]:
    """Return mantissa and scale of a positive decimal, or two Nones for none."""
    if text is None:
        return None, None
    number = parse_decimal(text)
    if number is None or not 0 < number.mantissa <= INTEGER_MAX:
        raise ApiError("invalid_request", "expected a positive decimal in plain notation", field=field)
    return number.mantissa, number.scale


def order_number(order_id: str) -> int:
    """Return an order id as the engine's number; text that cannot be one is an unknown order."""
    if not order_id.isascii() or not order_id.isdigit() or len(order_id) > 19 or int(order_id) > INTEGER_MAX:
        raise ApiError("unknown_order", "there is no such order")
    return int(order_id)


def deadline_left_ms(texts: Sequence[str | None]) -> int | None:
    """Return the milliseconds left until the earliest of some RFC 3339 times, or None when there is none.

    Raises ApiError when one is malformed or past.
    """
    left = [_left_ms(text) for text in texts if text is not None]
    return min(left) if left else None


def _left_ms(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ApiError("invalid_request", "expected an RFC 3339 time", field="deadline") from None
    if at.tzinfo is None:
        raise ApiError("invalid_request", "expected a time with its zone", field="deadline")
    left = int(at.timestamp() * 1000) - time_ns() // 1_000_000
    if left <= 0:
        raise ApiError("deadline_exceeded", "the deadline passed before execution")
    return min(left, DEADLINE_MS_MAX)


def _quote_units(text: str, instrument: Instrument) -> int:
    units = amount_units(text, instrument.quote_scale, "quote_quantity")
    if units > INTEGER_MAX:
        raise ApiError("invalid_request", "the number is too large", field="quote_quantity")
    return units
