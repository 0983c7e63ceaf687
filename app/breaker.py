"""A circuit breaker: after enough failures a dependency is left alone, and callers learn at once that it is away.

Without one, every caller waits for its own timeout, and those who wait hold what the others need. Open,
it lets one call through after a while (half-open): that call, or whoever watches the dependency, closes
it again. One breaker per dependency and process; on one event loop. No I/O.
"""

import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app import metrics

FAILURES_IN_A_ROW = 5
WINDOW_CALLS = 20
WINDOW_FAILURES = 10
"""Failures among the last WINDOW_CALLS that open it too: a dependency that fails every other call."""
OPEN_FIRST_S = 0.25
OPEN_MAX_S = 1.0
"""Doubled after each probe that fails; short, because service is to be back within two seconds of the dependency."""
JITTER = 0.5
"""Share of the time that is random, so that replicas do not probe together."""


class Breaker:
    """Counts the calls to one dependency. `admit` before a call, then exactly one of the other three."""

    def __init__(
        self,
        dependency: str,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.dependency = dependency
        self._clock_s = clock_s
        self._jitter = jitter
        self._in_a_row = 0
        self._window: deque[bool] = deque(maxlen=WINDOW_CALLS)
        self._open_s = 0.0
        """How long it opened for; 0 while it is closed."""
        self._until_s = 0.0
        self._probing = False
        metrics.BREAKER_OPEN.labels(dependency).set(0)

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, all but one now and then."""
        return self._open_s > 0

    def admit(self) -> int:
        """Return 0 if the call may go out, else the milliseconds until it is worth trying again."""
        if not self._open_s:
            return 0
        wait_s = self._until_s - self._clock_s()
        if wait_s <= 0 and not self._probing:
            self._probing = True
            return 0
        # Whoever watches the dependency may close it long before.
        return int(min(max(wait_s, OPEN_FIRST_S), OPEN_MAX_S) * 1000)

    def succeed(self) -> None:
        """The dependency answered, whatever it said."""
        if self._open_s:
            self._open_s = 0.0
            self._probing = False
            self._window.clear()
            metrics.BREAKER_OPEN.labels(self.dependency).set(0)
        self._in_a_row = 0
        self._window.append(True)

    def fail(self) -> None:
        """The dependency did not answer."""
        self._in_a_row += 1
        self._window.append(False)
        if self._open_s:
            if self._probing:
                self.trip()
        elif self._in_a_row >= FAILURES_IN_A_ROW or self._window.count(False) >= WINDOW_FAILURES:
            self.trip()

    def abandon(self) -> None:
        """The call ended without telling anything: it was canceled, or failed by itself."""
        self._probing = False

    def trip(self, *, at_least_s: float = 0.0) -> None:
        """Open, or stay open for longer.

        Whoever watches the dependency and will ask again gives `at_least_s`, so that no caller becomes the probe.
        """
        self._open_s = min(self._open_s * 2, OPEN_MAX_S) if self._open_s else OPEN_FIRST_S
        self._until_s = self._clock_s() + max(self._open_s * (1 - JITTER * self._jitter()), at_least_s)
        self._probing = False
        metrics.BREAKER_OPEN.labels(self.dependency).set(1)

    @contextmanager
    def judging(self, failures: tuple[type[Exception], ...]) -> Iterator[None]:
        """Judge an admitted call by how the block ends."""
        try:
            yield
        except failures:
            self.fail()
            raise
        except BaseException:
            self.abandon()
            raise
        self.succeed()
