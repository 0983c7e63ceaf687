"""Wall-clock time for authentication: windows, expiries and tokens are stated in Unix time.

Matching and leadership never use this clock. Tests hand in their own.
"""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns Unix milliseconds."""


def wall_clock_ms() -> int:
    """Return the time now in Unix milliseconds."""
    return time.time_ns() // 1_000_000
