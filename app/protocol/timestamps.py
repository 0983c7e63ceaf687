"""RFC 3339 text to the nanoseconds that everything inside counts in."""

from datetime import UTC, datetime, timedelta

import msgspec

from app.errors import ApiError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST = datetime(2200, 1, 1, tzinfo=UTC)
"""Beyond it nanoseconds come near 63 bits."""


def timestamp_ns(text: str, *, field: str) -> int:
    """Return the UTC nanoseconds of a time with zone. Raises ApiError `invalid_request` naming the field."""
    try:
        moment = msgspec.convert(text, datetime)
        known = moment.tzinfo is not None and _EPOCH <= moment < _LAST
    except (msgspec.ValidationError, OverflowError) as error:
        raise _malformed(field) from error
    if not known:
        raise _malformed(field)
    return (moment - _EPOCH) // _MICROSECOND * 1000


def _malformed(field: str) -> ApiError:
    return ApiError("invalid_request", "Expected an RFC 3339 time with zone, from 1970 to 2199.", field=field)
