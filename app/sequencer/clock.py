"""The leader's time: anchored once to the wall clock, then carried by the monotonic one.

A wall clock that jumps cannot make time jump inside a term, and a leader whose clock disagrees
with PostgreSQL's does not start.
"""

import time
from collections.abc import Callable

from app.errors import StartupError

CLOCK_SKEW_MAX_NS = 1_000_000_000


class LeaderClock:
    """UTC nanoseconds for a batch."""

    def __init__(self, database_now_ns: int, *, wall: Callable[[], int] = time.time_ns) -> None:
        now = wall()
        skew = now - database_now_ns
        if abs(skew) > CLOCK_SKEW_MAX_NS:
            raise StartupError(
                f"this host's clock differs from PostgreSQL's by {skew / 1e9:.3f} s, at most 1 s is safe"
            )
        self._offset = now - time.monotonic_ns()

    def now_ns(self) -> int:
        """Return the time in UTC nanoseconds."""
        return time.monotonic_ns() + self._offset
