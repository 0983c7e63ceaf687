"""Engine facts in integers to the wire's shapes in decimal text: the only place that translates them.

Pure functions of an event (or state), the instrument and the batch's time in nanoseconds.
"""

from datetime import UTC, datetime
from functools import lru_cache

from app.domain.commands import PlaceOrder
from app.domain.decimals import format_scaled, format_steps
from app.domain.enums import OrderStatus, OrderType, Side, TriggerBy
from app.domain.events import Fill, OrderEvent, OrderRejected, OrderState, TradeExecuted
from app.domain.instrument import RATE_SCALE_DIGITS, Instrument
from app.domain.outcomes import BookTop
from app.protocol import schemas

AVERAGE_PRICE_EXTRA_DIGITS = 6
"""An average price is rounded half up to this many places beyond the tick's."""
LIMIT_PRICED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT})
"""Types with a price of the client's own; the price of the others is a cap that the engine sets."""
NS_PER_MS = 1_000_000
SECONDS_KEPT = 256
"""Texts of seconds that are remembered: most times that are shown lie within the last few."""


def timestamp_text(timestamp_ns: int) -> str:
    """Return RFC 3339 UTC text with microseconds."""
    seconds, rest = divmod(timestamp_ns, 1_000_000_000)
    return f"{_second_text(seconds)}.{rest // 1000:06d}Z"


@lru_cache(maxsize=SECONDS_KEPT)
def _second_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def price_text(price: int, instrument: Instrument) -> str:
    """Return ticks as decimal text."""
    return format_steps(price, instrument.tick)


def quantity_text(quantity: int, instrument: Instrument) -> str:
    """Return lots as decimal text."""
    return format_steps(quantity, instrument.lot)


def notional_text(units: int, instrument: Instrument) -> str:
    """Return quote units as decimal text."""
    return format_scaled(units, instrument.quote_scale)


def average_price_text(notional: int, quantity: int, instrument: Instrument) -> str | None:
    """Return quote per base of `notional` units over `quantity` lots, or None without quantity."""
    if quantity == 0:
        return None
    # notional = sum(ticks * lots) * notional_unit, so this is the mean price in ticks.
    places = instrument.tick.scale + AVERAGE_PRICE_EXTRA_DIGITS
    numerator = notional * instrument.tick.mantissa * int(10**AVERAGE_PRICE_EXTRA_DIGITS)
    denominator = quantity * instrument.notional_unit
    return format_scaled((2 * numerator + denominator) // (2 * denominator), places)


def rate_text(rate: int) -> str:
    """Return a rate in 1e-8 as a decimal fraction."""
    return format_scaled(rate, RATE_SCALE_DIGITS)


def milliseconds(duration_ns: int | None) -> int | None:
    """Return a duration as whole milliseconds."""
    return None if duration_ns is None else duration_ns // NS_PER_MS


def order_members(state: OrderState, instrument: Instrument) -> dict[str, object]:
    """Return the members of the order object."""
    terms, display, trigger = state.terms, state.display_quantity, state.trigger_price
    return _terms_members(terms, instrument) | {
        "order_id": str(state.order_id),
        "price": price_text(state.price, instrument) if terms.type in LIMIT_PRICED else None,
        "quantity": quantity_text(state.quantity, instrument),
        "display_quantity": None if display is None else quantity_text(display, instrument),
        "trigger_price": None if trigger is None else price_text(trigger, instrument),
        "order_list_id": None if state.order_list_id is None else str(state.order_list_id),
        "status": state.status,
        "filled_quantity": quantity_text(state.filled_quantity, instrument),
        "remaining_quantity": quantity_text(state.remaining_quantity, instrument),
        "average_price": average_price_text(state.notional, state.filled_quantity, instrument),
        "fees": notional_text(state.fees, instrument),
        "version": state.version,
        "reason": state.reason,
        "created_at": timestamp_text(state.created_ns),
        "updated_at": timestamp_text(state.updated_ns),
        "engine_seq": state.engine_seq,
    }


def _terms_members(terms: PlaceOrder, instrument: Instrument) -> dict[str, object]:
    """Return the members that an order is placed with and keeps."""
    quote, offset, end_ns = terms.quote_quantity, terms.trailing_offset, terms.expire_ns
    is_triggered = terms.trigger_price is not None or offset is not None
    return {
        "client_order_id": terms.client_order_id,
        "symbol": terms.symbol,
        "side": terms.side,
        "type": terms.type,
        "time_in_force": terms.time_in_force,
        "quote_quantity": None if quote is None else notional_text(quote, instrument),
        "trigger_by": terms.trigger_by or (TriggerBy.LAST if is_triggered else None),
        "trailing_offset": None if offset is None else price_text(offset, instrument),
        "post_only": terms.post_only,
        "reduce_only": terms.reduce_only,
        "expire_at": None if end_ns is None else timestamp_text(end_ns),
        "label": terms.label,
    }


def order_shape(state: OrderState, instrument: Instrument) -> schemas.Order:
    """Return the order object."""
    return schemas.Order(**order_members(state, instrument))  # type: ignore[arg-type]  # members match by construction, tested


def rejected_order_shape(event: OrderRejected, instrument: Instrument, timestamp_ns: int) -> schemas.Order:
    """Return the order object of a rejected order: it has no id and version 0."""
    terms, display, trigger = event.terms, event.terms.display_quantity, event.terms.trigger_price
    quantity = quantity_text(terms.quantity, instrument)
    at = timestamp_text(timestamp_ns)
    return schemas.Order(
        **_terms_members(terms, instrument),  # type: ignore[arg-type]  # members match by construction, tested
        order_id=None,
        price=None if terms.price is None else price_text(terms.price, instrument),
        quantity=quantity,
        display_quantity=None if display is None else quantity_text(display, instrument),
        trigger_price=None if trigger is None else price_text(trigger, instrument),
        status=OrderStatus.REJECTED,
        filled_quantity="0",
        remaining_quantity=quantity,
        average_price=None,
        fees="0",
        version=0,
        reason=event.rejection.reason.value,
        created_at=at,
        updated_at=at,
        engine_seq=event.engine_seq,
    )


def fill_shape(fill: Fill, state: OrderState, instrument: Instrument, timestamp_ns: int) -> schemas.Fill:
    """Return the fill object of one order."""
    terms = state.terms
    return schemas.Fill(
        trade_id=str(fill.trade_id),
        order_id=str(state.order_id),
        client_order_id=terms.client_order_id,
        symbol=terms.symbol,
        side=terms.side,
        price=price_text(fill.price, instrument),
        quantity=quantity_text(fill.quantity, instrument),
        fee=notional_text(fill.fee, instrument),
        fee_asset=instrument.quote,
        liquidity=fill.liquidity,
        ts=timestamp_text(timestamp_ns),
        account_seq=fill.account_seq,
    )


def event_fill(event: OrderEvent) -> Fill | None:
    """Return the fill that an order event carries, if it does."""
    return getattr(event, "fill", None)


def trade_shape(trade: TradeExecuted, instrument: Instrument, timestamp_ns: int) -> schemas.Trade:
    """Return the public trade object."""
    return schemas.Trade(
        trade_id=str(trade.trade_id),
        symbol=trade.symbol,
        price=price_text(trade.price, instrument),
        quantity=quantity_text(trade.quantity, instrument),
        taker_side=Side(trade.taker_side),
        ts=timestamp_text(timestamp_ns),
    )


def quote_shape(top: BookTop, instrument: Instrument) -> schemas.BookQuote:
    """Return best bid and ask; null where a side is empty."""
    return schemas.BookQuote(
        epoch=top.epoch,
        seq=top.seq,
        bid=price_text(top.bid, instrument) if top.bid_quantity else None,
        bid_quantity=quantity_text(top.bid_quantity, instrument) if top.bid_quantity else None,
        ask=price_text(top.ask, instrument) if top.ask_quantity else None,
        ask_quantity=quantity_text(top.ask_quantity, instrument) if top.ask_quantity else None,
    )


def instrument_shape(instrument: Instrument) -> schemas.InstrumentShape:
    """Return the instrument with every filter and fee."""

    def lots(value: int | None) -> str | None:
        return None if value is None else quantity_text(value, instrument)

    def units(value: int | None) -> str | None:
        return None if value is None else notional_text(value, instrument)

    return schemas.InstrumentShape(
        symbol=instrument.symbol,
        base=instrument.base,
        quote=instrument.quote,
        tick_size=format_steps(1, instrument.tick),
        lot_size=format_steps(1, instrument.lot),
        min_quantity=lots(instrument.min_quantity),
        max_quantity=lots(instrument.max_quantity),
        min_notional=units(instrument.min_notional),
        max_notional=units(instrument.max_notional),
        price_band=None if instrument.price_band is None else rate_text(instrument.price_band),
        max_slippage=rate_text(instrument.max_slippage),
        order_types=list(instrument.order_types),
        status=instrument.status,
        maker_fee=rate_text(instrument.maker_fee),
        taker_fee=rate_text(instrument.taker_fee),
        breaker_move=None if instrument.breaker_move is None else rate_text(instrument.breaker_move),
        breaker_window_ms=milliseconds(instrument.breaker_window_ns),
        breaker_halt_ms=milliseconds(instrument.breaker_halt_ns),
        auction_ms=instrument.auction_ns // NS_PER_MS,
        session_close_ms=instrument.session_close_ns // NS_PER_MS,
    )
