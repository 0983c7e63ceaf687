"""Decimal text of requests to the engine's integers."""

from app.domain.decimals import Step, count_steps, format_steps, parse_decimal, to_steps
from app.domain.instrument import RATE_SCALE_DIGITS, Instrument
from app.errors import ApiError

INTEGER_MAX = 2**63 - 1


def steps(text: str, step: Step, *, code: str, field: str) -> int:
    """Return a price in ticks or a quantity in lots. Raises ApiError when it is none, zero, or too large."""
    number = parse_decimal(text)
    if number is None or number.mantissa == 0:
        raise ApiError("invalid_request", "expected a positive decimal in plain notation", field=field)
    value = count_steps(number, step)
    if value is None:
        raise ApiError(code, f"expected a multiple of {format_steps(1, step)}", field=field)
    if value > INTEGER_MAX:
        raise ApiError("invalid_request", "the number is too large", field=field)
    return value


def price_ticks(text: str, instrument: Instrument, field: str = "price") -> int:
    """Return a price in ticks."""
    return steps(text, instrument.tick, code="invalid_price_tick", field=field)


def quantity_lots(text: str, instrument: Instrument, field: str = "quantity") -> int:
    """Return a quantity in lots."""
    return steps(text, instrument.lot, code="invalid_quantity_lot", field=field)


def amount_units(text: str, scale: int, field: str) -> int:
    """Return an amount in units of 10**-scale; it may be far beyond 64 bits."""
    number = parse_decimal(text)
    if number is None or number.mantissa == 0:
        raise ApiError("invalid_request", "expected a positive decimal in plain notation", field=field)
    units = count_steps(number, Step(1, scale))
    if units is None:
        raise ApiError("invalid_request", f"expected at most {scale} decimal places", field=field)
    return units


def tier_volume(text: str, scale: int, field: str) -> int:
    """Return the least volume of a fee tier in units of 10**-scale; the first tier begins at 0."""
    return 0 if text == "0" else amount_units(text, scale, field)


def rate_units(text: str, field: str) -> int:
    """Return a rate in units of 1e-8; only a leading minus goes beyond the decimal grammar."""
    negative = text.startswith("-")
    units = to_steps(text.removeprefix("-"), Step(1, RATE_SCALE_DIGITS))
    if units is None or units > INTEGER_MAX:
        raise ApiError("invalid_request", f"expected a fraction with at most {RATE_SCALE_DIGITS} decimals", field=field)
    return -units if negative else units
