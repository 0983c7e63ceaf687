"""Each signature is taken once, by all replicas together, and nobody guesses without Redis."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from app.auth.replay import REPLAY_TTL_MS, RedisReplayGuard
from app.auth.signatures import RECV_WINDOW_MS_MAX
from app.breaker import FAILURES_IN_A_ROW, Breaker
from app.dev.ports import free_port
from app.dev.servers import LocalServers
from app.errors import BusUnavailable


def client(url: str) -> Redis:
    return Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1, retry=None)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    connected = client(redis_url)
    yield connected
    await connected.aclose()


async def test_signature_is_taken_once(redis: Redis, shard_prefix: str) -> None:
    guard, other_replica = (RedisReplayGuard(redis, prefix=shard_prefix) for _ in range(2))
    assert await guard.first_use("key", "signature", REPLAY_TTL_MS)
    assert not await guard.first_use("key", "signature", REPLAY_TTL_MS)
    assert not await other_replica.first_use("key", "signature", REPLAY_TTL_MS)
    assert await guard.first_use("key", "another", REPLAY_TTL_MS)
    assert await guard.first_use("another", "signature", REPLAY_TTL_MS)


async def test_one_of_many_parallel_uses_is_the_first(redis: Redis, shard_prefix: str) -> None:
    guard = RedisReplayGuard(redis, prefix=shard_prefix)
    assert sum(await asyncio.gather(*(guard.first_use("key", "s", 60_000) for _ in range(20)))) == 1


async def test_signature_is_forgotten_only_after_its_time(redis: Redis, shard_prefix: str) -> None:
    guard = RedisReplayGuard(redis, prefix=shard_prefix)
    assert await guard.first_use("key", "s", 50)
    await asyncio.sleep(0.2)
    assert await guard.first_use("key", "s", 50)


def test_signatures_are_remembered_longer_than_any_window() -> None:
    assert REPLAY_TTL_MS > RECV_WINDOW_MS_MAX


async def test_unreachable_redis_is_an_outage_not_a_first_use() -> None:
    redis = client(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(BusUnavailable):
        await RedisReplayGuard(redis, prefix="x").first_use("key", "s", 1000)
    await redis.aclose()


async def test_a_frozen_redis_costs_a_few_callers_their_timeout_and_the_rest_nothing(shard_prefix: str) -> None:
    with LocalServers(database_url="postgresql://unused") as servers:
        redis = Redis.from_url(servers.redis_url, socket_timeout=0.2, socket_connect_timeout=0.2, retry=None)
        breaker = Breaker("redis")
        guard = RedisReplayGuard(redis, prefix=shard_prefix, breaker=breaker)
        os.kill(servers.pids[0], signal.SIGSTOP)
        try:
            for _ in range(FAILURES_IN_A_ROW):
                with pytest.raises(BusUnavailable):
                    await guard.first_use("key", "s", REPLAY_TTL_MS)
            asked = time.monotonic()
            with pytest.raises(BusUnavailable) as refused:
                await guard.first_use("key", "s", REPLAY_TTL_MS)
            assert time.monotonic() - asked < 0.1
            assert refused.value.retry_after_ms is not None
        finally:
            os.kill(servers.pids[0], signal.SIGCONT)
        async with asyncio.timeout(10):
            while breaker.is_open:
                await asyncio.sleep(0.05)
                try:
                    await guard.first_use("key", "another", REPLAY_TTL_MS)
                except BusUnavailable:
                    continue
        assert await guard.first_use("key", "a third", REPLAY_TTL_MS)
        await redis.aclose()
