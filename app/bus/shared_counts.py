"""Counts that all replicas add to: one expiring hash in Redis each."""

from collections.abc import Mapping

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.breaker import Breaker
from app.errors import BusUnavailable


class SharedCounts:
    """Adds to counts and tells their sums."""

    def __init__(self, redis: Redis, *, prefix: str, breaker: Breaker) -> None:
        """`redis` must not retry by itself: what is repeated would count twice."""
        self._redis = redis
        self._prefix = prefix
        self._breaker = breaker

    @property
    def is_away(self) -> bool:
        """Whether Redis is left alone for now."""
        return self._breaker.is_open

    async def add(self, name: str, counts: Mapping[str, int], *, keep_s: int) -> dict[str, int]:
        """Add to the counts of a name, which are forgotten so many seconds later, and return what they come to.

        Raises BusUnavailable: then it may have been added or not.
        """
        key = f"{self._prefix}:{name}"
        pipeline = self._redis.pipeline(transaction=False)
        for subject, count in counts.items():
            pipeline.hincrby(key, subject, count)
        pipeline.expire(key, keep_s)
        try:
            with self._breaker.judging((RedisError, OSError)):
                *sums, _ = await pipeline.execute()
        except (RedisError, OSError) as fault:
            raise BusUnavailable(f"Redis did not answer for shared counts: {fault}") from fault
        return dict(zip(counts, sums, strict=True))
