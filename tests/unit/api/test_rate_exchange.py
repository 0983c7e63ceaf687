"""The task that exchanges a replica's counts: what does not end it."""

import asyncio
from collections.abc import Mapping

import pytest
from structlog.testing import capture_logs

from app.api import rate_exchange
from app.api.rate_exchange import RateExchange
from app.api.rate_limits import Quotas, RateLimits
from tests.unit.streaming.client import until


class BrokenCounts:
    """Shared counts that make the same mistake a few times."""

    is_away = False

    def __init__(self, mistakes: int) -> None:
        self.mistakes = mistakes
        self.calls = 0

    async def add(self, name: str, told: Mapping[str, int], *, keep_s: float) -> dict[str, int]:
        """Return what was told, once the mistakes are made."""
        self.calls += 1
        if self.calls <= self.mistakes:
            raise ValueError("a mistake")
        return dict(told)


async def test_a_mistake_is_told_once_and_the_next_exchange_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_exchange, "EXCHANGE_S", 0.001)
    monkeypatch.setattr(rate_exchange, "CALLERS_PER_EXCHANGE", 1)
    counts = BrokenCounts(mistakes=3)
    limits = RateLimits(Quotas(requests_per_s=100, logins_per_minute=0))
    for number in range(5):
        limits.policies[0].spend(f"key {number}", 0)
    exchange = RateExchange(limits, counts)  # type: ignore[arg-type]  # all that it is asked for
    with capture_logs() as logs:
        running = asyncio.create_task(exchange.run())
        await until(lambda: counts.calls == 5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [line["event"] for line in logs] == ["rate_exchange_broke"]
