"""Engine rejections as the one error that clients see, in the client's words and numbers."""

from app.domain.decimals import format_scaled, format_steps
from app.domain.events import Rejection
from app.domain.instrument import Instrument
from app.errors import ApiError
from app.protocol.codes import CODES
from app.protocol.field_rules import FIELD_RULES
from app.protocol.ports import Instruments
from app.protocol.shapes import timestamp_text

NS_DIGITS_OF_MS = 6


def rejection_error(rejection: Rejection, instruments: Instruments, instrument: Instrument | None = None) -> ApiError:
    """Return the error of a rejection, with limit and actual value where they can be told in decimals."""
    code, field = rejection.reason.value, rejection.field
    limit, actual = [
        timestamp_text(int(value))
        if field == "expire_ns" and value
        else number_text(value, unit, instruments, instrument)
        for value, unit in ((rejection.limit, rejection.unit), (rejection.actual, rejection.unit))
    ]
    field = _spelled(field)
    detail = CODES[code].title if code != "invalid_request" else FIELD_RULES.get(field or "", CODES[code].title)
    return ApiError(code, detail, field=field, limit=limit, actual=actual)


def _spelled(field: str | None) -> str | None:
    """Return a field under the name that requests have for it: times as text, durations in milliseconds."""
    if field is None or not field.endswith("_ns"):
        return field
    return "expire_at" if field == "expire_ns" else field.removesuffix("_ns") + "_ms"


def number_text(
    value: str | None, unit: str | None, instruments: Instruments, instrument: Instrument | None
) -> str | None:
    """Return an integer of the engine as the client's number; None where its instrument or asset is not known.

    Ticks, lots and amounts become decimals, nanoseconds milliseconds; counts stay.
    """
    if value is None or unit is None or unit == "count":
        return value
    if unit == "ns":
        return format_scaled(int(value), NS_DIGITS_OF_MS)
    if unit in ("ticks", "lots"):
        if instrument is None:
            return None
        return format_steps(int(value), instrument.tick if unit == "ticks" else instrument.lot)
    scale = instruments.asset_scale(unit)
    return None if scale is None else format_scaled(int(value), scale)
