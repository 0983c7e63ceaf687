"""Replicas tell each other what callers sent, so that a quota holds for all of them together.

A replica adds what it counted since the last time and learns the sum. A caller gets past his quota by what he sends
to all replicas within one exchange. Without Redis each replica counts by itself: its outage refuses nobody.
"""

import asyncio

import structlog

from app.api.rate_limits import Policy, RateLimits
from app.bus.shared_counts import SharedCounts
from app.errors import BusUnavailable

EXCHANGE_S = 0.1
CALLERS_PER_EXCHANGE = 2_000
"""Callers of one policy that are told about at once; the others wait for the next exchange."""
KEPT_WINDOWS = 2
"""How long a window is remembered, in windows."""

log = structlog.get_logger(__name__)


class RateExchange:
    """Exchanges the counts of one replica; `run` it in a task."""

    def __init__(self, limits: RateLimits, shared: SharedCounts) -> None:
        self._limits = limits
        self._shared = shared

    async def run(self) -> None:
        """Exchange until canceled; a mistake is told once, until an exchange succeeds."""
        is_broken = False
        while True:
            await asyncio.sleep(EXCHANGE_S)
            try:
                await self.exchange()
            except Exception:
                # As without Redis: a replica that counts by itself is better than none.
                if not is_broken:
                    log.exception("rate_exchange_broke")
                is_broken = True
            else:
                is_broken = False

    async def exchange(self) -> None:
        """Tell what is new and hear what it comes to, once."""
        for policy in self._limits.policies:
            # What is not told yet waits, until its window is over.
            if self._shared.is_away:
                return
            await self._exchange(policy)

    async def _exchange(self, policy: Policy) -> None:
        window, told = policy.tell(CALLERS_PER_EXCHANGE)
        if not told:
            return
        name = f"rate:{policy.name}:{window}"
        try:
            sums = await self._shared.add(name, told, keep_s=KEPT_WINDOWS * policy.window_s)
        except BusUnavailable as fault:
            # It may have been counted: to tell it again could refuse a caller who is within his quota.
            log.debug("rate_exchange_failed", reason=str(fault))
            return
        for subject, sent in sums.items():
            policy.hear(window, subject, sent)
