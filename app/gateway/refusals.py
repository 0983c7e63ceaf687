"""Engine rejections as the one error that clients see."""

from app.domain.events import Rejection
from app.domain.instrument import Instrument
from app.errors import ApiError
from app.gateway.numbers import limit_text
from app.protocol.codes import CODES
from app.protocol.ports import Instruments


def refused(rejection: Rejection, instruments: Instruments, instrument: Instrument | None = None) -> ApiError:
    """Return the error of a rejection, its limit and actual value in the client's numbers."""
    unit = rejection.unit
    scale = instruments.asset_scale(unit) if unit is not None else None
    code = rejection.reason.value
    return ApiError(
        code,
        CODES[code].title,
        field=rejection.field,
        limit=limit_text(rejection.limit, unit, instrument, scale),
        actual=limit_text(rejection.actual, unit, instrument, scale),
    )
