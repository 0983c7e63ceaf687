"""The price around which the demo market trades: a random walk that is drawn back to where it began.

Floating point is fine here: it only decides what the bots ask for, on their side of the public API.
"""

import math
import random

REVERSION_PER_S = 1 / 1800
"""Half of a deviation is gone after about twenty minutes, so the price stays within a few percent."""
STEP_MAX_S = 5.0
"""A process that was stopped for long goes on with a small step, not with a jump."""


class FairPrice:
    """One instrument's price; `at` advances it."""

    def __init__(
        self, anchor: float, volatility: float, *, start: float | None = None, seed: int | None = None
    ) -> None:
        """`volatility` is the standard deviation of the price's logarithm after one second."""
        self._anchor = anchor
        self._volatility = volatility
        self._deviation = math.log(start / anchor) if start else 0.0
        self._random = random.Random(seed)  # noqa: S311  # a demo, not a secret
        self._at_s: float | None = None

    def at(self, now_s: float) -> float:
        """Return the price at a time of the monotonic clock, which never goes back."""
        if self._at_s is not None:
            elapsed = min(now_s - self._at_s, STEP_MAX_S)
            self._deviation *= math.exp(-REVERSION_PER_S * elapsed)
            self._deviation += self._random.gauss(0.0, self._volatility * math.sqrt(elapsed))
        self._at_s = now_s
        return self._anchor * math.exp(self._deviation)
