"""Takes each signature once: the guard of writes that have no natural key.

Inside its window a captured request could be sent again. Orders with a client_order_id, amends with
if_version, transfers and cancels are safe by themselves; key creation and the rest are not.
"""

import hashlib
from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.auth.signatures import FUTURE_SKEW_MS_MAX, RECV_WINDOW_MS_MAX
from app.breaker import Breaker
from app.errors import BusUnavailable

REPLAY_TTL_MS = RECV_WINDOW_MS_MAX + FUTURE_SKEW_MS_MAX + 1_000
"""The window's header is not part of the signed text, so every signature is remembered for the widest window."""


class ReplayGuard(Protocol):
    """Remembers signatures, for all replicas together."""

    async def first_use(self, key_id: str, signature: str, ttl_ms: int) -> bool:
        """Return whether the key's signature was never seen before. Raises BusUnavailable when that is unknown."""


class RedisReplayGuard:
    """Remembers signatures in Redis, one expiring key each."""

    def __init__(self, redis: Redis, *, prefix: str, breaker: Breaker | None = None) -> None:
        """`redis` must not retry by itself: a repeated SET NX would call a first use a replay."""
        self._redis = redis
        self._prefix = prefix
        self._breaker = breaker or Breaker("redis")

    async def first_use(self, key_id: str, signature: str, ttl_ms: int) -> bool:
        """Return whether the key's signature was never seen before. Raises BusUnavailable when that is unknown."""
        wait_ms = self._breaker.admit()
        if wait_ms:
            raise BusUnavailable("Redis is left alone for now", retry_after_ms=wait_ms)
        digest = hashlib.sha256(f"{key_id}\n{signature}".encode()).hexdigest()
        try:
            with self._breaker.judging((RedisError, OSError)):
                return bool(await self._redis.set(f"{self._prefix}:signature:{digest}", 1, nx=True, px=ttl_ms))
        except (RedisError, OSError) as error:
            raise BusUnavailable("Redis did not answer for the replay guard") from error
