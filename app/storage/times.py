"""Wall-clock times of the edge's tables: Unix milliseconds in code, timestamps with zone in PostgreSQL."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_timestamp(at_ms: int) -> datetime:
    """Return the timestamp of Unix milliseconds, exactly."""
    return _EPOCH + at_ms * _MILLISECOND


def to_ms(at: datetime) -> int:
    """Return the Unix milliseconds of a timestamp with zone, rounded down."""
    return (at - _EPOCH) // _MILLISECOND
