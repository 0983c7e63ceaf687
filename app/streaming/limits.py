"""What one session may do and hold, by name."""

from collections.abc import Callable
from dataclasses import dataclass

from app.streaming.outbox import FACT_BYTES_MAX, FRAMES_MAX, STATE_BYTES_MAX


@dataclass(frozen=True, kw_only=True)
class SessionLimits:
    """Bounds of every session of a replica."""

    sessions_max: int = 20_000
    """Sessions of the replica; another one is told to come back later."""
    sessions_per_address: int | None = 2_000
    """Sessions of the replica from one address, or IPv6 network; None is no limit."""
    channels_max: int = 200
    message_bytes_max: int = 65_536
    messages_per_s: float | None = 500.0
    """None is no limit."""
    messages_burst: int = 2_000
    refusals_max: int = 1_000
    """Messages refused for their rate, without a pause to recover, before the session is closed."""
    commands_in_flight_max: int = 64
    """Order commands that wait for the engine; the next one waits unread."""
    settle_s: float = 10.0
    """Time to authenticate or subscribe."""
    reauthenticate_s: float = 30.0
    """Time to authenticate again after the credentials ended."""
    write_stuck_s: float = 60.0
    """Time that one frame may wait for a reader."""
    close_s: float = 5.0
    """Time for the last frames to leave before the socket is dropped."""
    state_bytes_max: int = STATE_BYTES_MAX
    fact_bytes_max: int = FACT_BYTES_MAX
    frames_max: int = FRAMES_MAX


class MessageRate:
    """A token bucket: `per_s` refills it up to `burst`."""

    __slots__ = ("_burst", "_clock_s", "_filled_s", "_per_s", "_tokens", "refusals")

    def __init__(self, per_s: float | None, burst: int, clock_s: Callable[[], float]) -> None:
        self._per_s = per_s
        self._burst = burst
        self._tokens = float(burst)
        self._clock_s = clock_s
        self._filled_s = clock_s()
        self.refusals = 0
        """Messages refused since the bucket was last half full."""

    def take(self) -> int:
        """Take one token; returns 0, or the milliseconds until there is one."""
        if self._per_s is None:
            return 0
        now_s = self._clock_s()
        self._tokens = min(self._burst, self._tokens + (now_s - self._filled_s) * self._per_s)
        self._filled_s = now_s
        if self._tokens >= self._burst / 2:
            self.refusals = 0
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        self.refusals += 1
        return max(1, int((1 - self._tokens) / self._per_s * 1000))
