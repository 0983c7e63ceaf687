"""Bounds new orders while something behind the engine must catch up: so many a second, of all accounts together."""

from collections.abc import Callable

from app.domain.commands import AmendOrder, PlaceBatch, PlaceList, PlaceOrder

THROTTLED_ORDERS_PER_S = 1_000
"""Far below what the projection of one busy core takes in, so that it catches up; enough to keep a market alive."""


class OrderThrottle:
    """A bucket of orders that fills by so many a second and holds one second's worth."""

    def __init__(self, orders_per_s: int, clock_s: Callable[[], float]) -> None:
        self._orders_per_s = orders_per_s
        self._clock_s = clock_s
        self._left = float(orders_per_s)
        self._filled_s = clock_s()

    def takes(self, command: PlaceOrder | AmendOrder | PlaceBatch | PlaceList) -> bool:
        """Return whether the command passes; a batch passes as a whole, and what it overdraws is waited for."""
        now_s = self._clock_s()
        self._left = min(self._left + (now_s - self._filled_s) * self._orders_per_s, float(self._orders_per_s))
        self._filled_s = now_s
        if self._left < 1:
            return False
        self._left -= len(command.orders) if isinstance(command, PlaceBatch | PlaceList) else 1
        return True
