"""Volatility breaker: how far a trade may be from the price of a while ago.

A trail remembers one price per time, the last one printed at it. A trade is measured against the
newest price that is at least a window old, else against the oldest there is.
"""

from bisect import bisect_right

from app.domain.instrument import RATE_SCALE

TRAIL_PRICES_MAX = 1_000
"""Prices a trail remembers; beyond them it keeps every second one, the oldest and the newest always."""


class PriceTrail:
    """Prices of one instrument since it was opened, or since its breaker was set."""

    __slots__ = ("_move", "_prices", "_times", "_window_ns")

    def __init__(self, move: int, window_ns: int) -> None:
        self._move = move
        """Largest distance from the price of a window ago, in parts of RATE_SCALE of it."""
        self._window_ns = window_ns
        self._times: list[int] = []
        """UTC nanoseconds, rising."""
        self._prices: list[int] = []

    def base(self, timestamp_ns: int) -> int | None:
        """Return the price in ticks that a trade is measured against, or None before the first print."""
        if not self._times:
            return None
        return self._prices[max(bisect_right(self._times, timestamp_ns - self._window_ns) - 1, 0)]

    def admits(self, price: int, base: int | None) -> bool:
        """Return whether a trade at a price is near enough to the one it is measured against."""
        return base is None or abs(price - base) * RATE_SCALE <= base * self._move

    def is_young(self, timestamp_ns: int) -> bool:
        """Return whether all prices are of this time: each print is then measured against the one before it."""
        return not self._times or self._times[0] == timestamp_ns

    def record(self, price: int, timestamp_ns: int) -> None:
        """Remember a print."""
        times, prices = self._times, self._prices
        if times and times[-1] == timestamp_ns:
            prices[-1] = price
            return
        times.append(timestamp_ns)
        prices.append(price)
        outdated = bisect_right(times, timestamp_ns - self._window_ns) - 1
        if outdated > 0:
            del times[:outdated], prices[:outdated]
        if len(times) > TRAIL_PRICES_MAX:
            del times[1:-1:2], prices[1:-1:2]

    def clear(self) -> None:
        """Forget everything: what was before a halt is no measure."""
        self._times.clear()
        self._prices.clear()

    def entries(self) -> list[tuple[int, int]]:
        """Return the times and prices, oldest first."""
        return list(zip(self._times, self._prices, strict=True))

    def load(self, entries: list[tuple[int, int]]) -> None:
        """Take over the times and prices of a checkpoint."""
        self._times = [time for time, _ in entries]
        self._prices = [price for _, price in entries]
