"""Latencies in bounded memory: counts in buckets that widen with the value, so each is known to 1 in 64."""

from typing import Any

_PRECISION_BITS = 6
_EXACT = 1 << (_PRECISION_BITS + 1)
"""Below this every value has a bucket of its own."""
_VALUE_BITS_MAX = 44
"""Nanoseconds: nearly five hours; anything longer counts as that."""
_BUCKETS = _EXACT + (_VALUE_BITS_MAX - _PRECISION_BITS - 1) * (1 << _PRECISION_BITS)
_PERCENTS = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9}


class Latencies:
    """Durations in nanoseconds, counted."""

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0
        self._sum = 0
        self._max = 0

    def add(self, nanoseconds: int) -> None:
        """Count one duration; a negative one is none at all."""
        value = min(max(nanoseconds, 0), (1 << _VALUE_BITS_MAX) - 1)
        self._counts[_bucket(value)] += 1
        self.count += 1
        self._sum += value
        if value > self._max:
            self._max = value

    def percentile_ns(self, percent: float) -> int:
        """Return a value that at least so many percent do not exceed; 0 when there are none."""
        wanted = self.count * percent / 100
        passed = 0
        for bucket, count in enumerate(self._counts):
            passed += count
            if count and passed >= wanted:
                return min(_highest(bucket), self._max)
        return 0

    def summary_ms(self) -> dict[str, Any]:
        """Return count, percentiles, mean and maximum, in milliseconds; None where there is nothing to say."""
        found: dict[str, Any] = {"count": self.count}
        for name, percent in _PERCENTS.items():
            found[name] = _milliseconds(self.percentile_ns(percent)) if self.count else None
        found["max"] = _milliseconds(self._max) if self.count else None
        found["mean"] = _milliseconds(self._sum / self.count) if self.count else None
        return found


def _milliseconds(nanoseconds: float) -> float:
    return round(nanoseconds / 1e6, 4)


def _bucket(value: int) -> int:
    if value < _EXACT:
        return value
    shift = value.bit_length() - _PRECISION_BITS - 1
    return (shift << _PRECISION_BITS) + (value >> shift)


def _highest(bucket: int) -> int:
    """Return the largest value of a bucket."""
    if bucket < _EXACT:
        return bucket
    shift = (bucket >> _PRECISION_BITS) - 1
    return (((bucket - (shift << _PRECISION_BITS)) + 1) << shift) - 1
