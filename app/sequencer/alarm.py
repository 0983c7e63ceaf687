"""A timer for a loop that waits often and mostly is woken by something else."""

import asyncio
import time
from collections.abc import Callable


class Alarm:
    """Rings at or before every moment that was asked for: one that is set stays set when a later moment is asked for.

    So most waits cost no timer, and a ring may come early: who hears it looks again at what is due.
    """

    def __init__(self, ring: Callable[[], object]) -> None:
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None
        self._at = 0.0

    def set(self, seconds: float) -> None:
        """Ring after so long at the latest."""
        at = time.monotonic() + seconds
        if self._handle is not None:
            if self._at <= at:
                return
            self._handle.cancel()
        self._handle, self._at = asyncio.get_running_loop().call_later(seconds, self._rings), at

    def _rings(self) -> None:
        self._handle = None
        self._ring()
