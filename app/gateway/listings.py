"""Bodies that list or edit an instrument, as commands: decimals to integers, milliseconds to nanoseconds."""

import msgspec

from app.domain.commands import CreateInstrument, UpdateInstrument
from app.domain.decimals import Step, parse_decimal
from app.domain.instrument import Instrument
from app.errors import ApiError
from app.gateway.numbers import amount_units, price_ticks, quantity_lots, rate_units, steps
from app.protocol import admin_schemas
from app.protocol.shapes import NS_PER_MS


def create_command(request: admin_schemas.InstrumentRequest, quote_scale: int | None) -> CreateInstrument:
    """Return the command that lists an instrument; its numbers are converted with the tick and lot of the same body.

    Raises ApiError naming the field.
    """
    tick, lot = _step(request.tick_size, "tick_size"), _step(request.lot_size, "lot_size")

    def lots(text: str | None, field: str) -> int | None:
        return None if text is None else steps(text, lot, code="invalid_quantity_lot", field=field)

    def units(text: str | None, field: str) -> int | None:
        if text is None:
            return None
        if quote_scale is None:
            raise ApiError("invalid_request", "there is no such asset", field="quote")
        return amount_units(text, quote_scale, field)

    def rate(text: str | None, field: str) -> int | None:
        return None if text is None else rate_units(text, field)

    reference = request.reference_price
    return CreateInstrument(
        request.symbol,
        request.base,
        request.quote,
        request.tick_size,
        request.lot_size,
        lots(request.min_quantity, "min_quantity"),
        lots(request.max_quantity, "max_quantity"),
        units(request.min_notional, "min_notional"),
        units(request.max_notional, "max_notional"),
        rate(request.price_band, "price_band"),
        None if reference is None else steps(reference, tick, code="invalid_price_tick", field="reference_price"),
        rate(request.max_slippage, "max_slippage"),
        rate_units(request.maker_fee, "maker_fee"),
        rate_units(request.taker_fee, "taker_fee"),
        None if request.order_types is None else tuple(request.order_types),
        request.status,
        rate(request.breaker_move, "breaker_move"),
        None if request.breaker_window_ms is None else request.breaker_window_ms * NS_PER_MS,
        None if request.breaker_halt_ms is None else request.breaker_halt_ms * NS_PER_MS,
        request.auction_ms * NS_PER_MS,
        request.session_close_ms * NS_PER_MS,
    )


def update_command(request: admin_schemas.InstrumentEditRequest, instrument: Instrument) -> UpdateInstrument:
    """Return the command of an edit. Raises ApiError naming the field."""
    types = None if request.order_types is None else tuple(request.order_types)
    return UpdateInstrument(instrument.symbol, request.status, filter_changes(request, instrument), types)


def filter_changes(request: admin_schemas.InstrumentEditRequest, instrument: Instrument) -> dict[str, int | None]:
    """Return the changes of an edit in the engine's integers; what is unset is left out."""
    changes: dict[str, int | None] = {}
    given: dict[str, str | int | None] = {}
    for part in (request.filters, request.fees):
        if part is not None:
            fields = {name: getattr(part, name) for name in part.__struct_fields__}
            given |= {name: value for name, value in fields.items() if value is not msgspec.UNSET}
    for name, value in given.items():
        if name.endswith("_ms"):
            changes[name.removesuffix("_ms") + "_ns"] = None if value is None else int(value) * NS_PER_MS
        else:
            changes[name] = None if value is None else _units(name, str(value), instrument)
    return changes


def _units(name: str, text: str, instrument: Instrument) -> int:
    if name in ("min_quantity", "max_quantity"):
        return quantity_lots(text, instrument, name)
    if name in ("min_notional", "max_notional"):
        return amount_units(text, instrument.quote_scale, name)
    if name == "reference_price":
        return price_ticks(text, instrument, name)
    return rate_units(text, name)


def _step(text: str, field: str) -> Step:
    step = parse_decimal(text)
    if step is None or step.mantissa == 0:
        raise ApiError("invalid_request", "expected a positive decimal in plain notation", field=field)
    return step
