"""What time will do, in the order in which it will: a sorted set of (when, kind, whose).

A timer acts only when a Tick finds it due (timekeeper.py). Whoever arms one keeps its time, to be
able to disarm it; checkpoints hold the set as it is.
"""

from typing import NamedTuple

from sortedcontainers import SortedList

EXPIRY, CANCEL_AFTER, HALT_END, AUCTION_END = range(4)
"""Kinds, in the order in which timers of one time act: orders (by id), accounts (by id), instruments (by symbol)."""


class Timer(NamedTuple):
    """One thing that is to happen; compares by time, kind, then whose it is."""

    due_ns: int
    kind: int
    whose: int | str
    """Order id, account id or symbol, as the kind says."""


class Timers:
    """The armed timers of a shard."""

    __slots__ = ("_sorted",)

    def __init__(self) -> None:
        self._sorted: SortedList[Timer] = SortedList()

    @property
    def next_due_ns(self) -> int | None:
        """Return when the first one is due, or None."""
        return self._sorted[0].due_ns if self._sorted else None

    def arm(self, due_ns: int, kind: int, whose: int | str) -> None:
        """Add a timer; an owner has at most one of a kind."""
        self._sorted.add(Timer(due_ns, kind, whose))

    def disarm(self, due_ns: int, kind: int, whose: int | str) -> None:
        """Remove a timer, which must be armed."""
        self._sorted.remove(Timer(due_ns, kind, whose))

    def take_due(self, timestamp_ns: int) -> Timer | None:
        """Remove and return the first timer that is due at a time, or None."""
        if self._sorted and self._sorted[0].due_ns <= timestamp_ns:
            timer: Timer = self._sorted.pop(0)
            return timer
        return None

    def all(self) -> list[Timer]:
        """Return the armed timers, the first to act first."""
        return list(self._sorted)
