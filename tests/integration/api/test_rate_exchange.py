"""A quota holds for all replicas together: what one counted the others hear of, through a real server."""

import asyncio
import random
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from app.api import rate_exchange
from app.api.rate_exchange import RateExchange
from app.api.rate_limits import Policy, Quotas, RateLimits
from app.breaker import FAILURES_IN_A_ROW, Breaker
from app.bus.shared_counts import SharedCounts
from app.bus.topics import shard_prefix as shard_prefix_of
from app.dev.ports import free_port
from tests.replica_process import ReplicaProcess

QUOTAS = Quotas(requests_per_s=100, logins_per_minute=60)
WINDOW_S = 1_000.0
CALLERS = 5
WAIT_S = 10.0
LASTS_S = 20.0
"""Of a minute that is left, what the longest test needs."""


def client(url: str) -> Redis:
    return Redis.from_url(url, protocol=2, socket_timeout=1, socket_connect_timeout=1, retry=None)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    connected = client(redis_url)
    yield connected
    await connected.aclose()


class Counting:
    """The counts of a replica, without the replica."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self.limits = RateLimits(QUOTAS)
        self.breaker = Breaker("redis")
        self._exchange = RateExchange(self.limits, SharedCounts(redis, prefix=prefix, breaker=self.breaker))

    @property
    def requests(self) -> Policy:
        return self.limits.policies[0]

    async def exchange(self) -> None:
        await self._exchange.exchange()

    def send(self, times: int, subject: str = "key") -> int:
        """Count requests; returns how many are left."""
        spent = [self.requests.spend(subject, WINDOW_S) for _ in range(times)][-1]
        return int(dict(spent.headers)["RateLimit"].split(";")[1].removeprefix("r="))


async def test_replicas_add_up_what_a_caller_sent_to_each(redis: Redis, shard_prefix: str) -> None:
    first, second, third = (Counting(redis, shard_prefix) for _ in range(3))
    assert (first.send(30), second.send(20), third.send(1, "another")) == (70, 80, 99)
    for replica in (first, second, third):
        await replica.exchange()
    assert (first.send(1), second.send(1)) == (69, 49), "the first one exchanged before the second had told"
    for replica in (first, second, first, second):
        await replica.exchange()
    assert (first.send(1), second.send(1)) == (48, 47), "without news of its own the first one did not ask again"
    assert (third.send(1, "another"), third.send(1)) == (98, 99)


async def test_an_exchange_without_news_asks_nothing_and_windows_are_forgotten(redis: Redis, shard_prefix: str) -> None:
    replica = Counting(redis, shard_prefix)
    await replica.exchange()
    assert await redis.keys(f"{shard_prefix}*") == []
    replica.send(3)
    await replica.exchange()
    (key,) = await redis.keys(f"{shard_prefix}*")
    assert (await redis.hgetall(key), 0 < await redis.ttl(key) <= 2) == ({b"key": b"3"}, True)


async def test_more_callers_than_one_exchange_carries_come_with_the_next(
    redis: Redis, shard_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_exchange, "CALLERS_PER_EXCHANGE", 2)
    first, second = Counting(redis, shard_prefix), Counting(redis, shard_prefix)
    for replica in (first, second):
        for number in range(CALLERS):
            replica.send(10, f"key {number}")
    heard = []
    for _ in range(3):
        await first.exchange()
        await second.exchange()
        heard.append(sum(second.send(1, f"key {number}") < 85 for number in range(CALLERS)))
    assert heard == [2, 4, 5]


async def test_without_redis_a_replica_counts_by_itself_and_refuses_nobody_for_it(shard_prefix: str) -> None:
    redis = client(f"redis://127.0.0.1:{free_port()}/0")
    replica = Counting(redis, shard_prefix)
    for sent in range(1, FAILURES_IN_A_ROW + 3):
        assert replica.send(1) == 100 - sent
        await replica.exchange()
    assert replica.breaker.is_open
    assert replica.requests.tell(9)[1] == {"key": 2}, "what was not tried waits"
    await redis.aclose()


async def told(redis: Redis, shard: int, count: int) -> None:
    """Wait until replicas have told each other of so many logins, and heard what was told."""
    async with asyncio.timeout(WAIT_S):
        while True:
            found = [
                await redis.hgetall(key) async for key in redis.scan_iter(f"{shard_prefix_of(shard)}*", _type="hash")
            ]
            if sum(int(value) for counts in found for value in counts.values()) >= count:
                break
            await asyncio.sleep(0.02)
    # Ten times what an exchange takes.
    await asyncio.sleep(1)


async def test_a_quota_is_used_up_over_two_replicas(database_url: str, redis_url: str, redis: Redis) -> None:
    shard = random.randrange(1_000, 2**15)
    settings = {"ORDERWIRE_LOGINS_PER_MINUTE": "6"}
    person = {"email": "nobody@example.org", "password": "not the password"}

    async def login(replica: ReplicaProcess) -> int:
        return (await replica.http.post("/v1/auth/login", json=person)).status_code

    async with (
        ReplicaProcess(database_url, redis_url, shard=shard, **settings) as first,
        ReplicaProcess(database_url, redis_url, shard=shard, **settings) as second,
    ):
        # A minute that ends meanwhile would begin a new count.
        left_s = 60 - time.time() % 60
        if left_s < LASTS_S:
            await asyncio.sleep(left_s)
        assert [await login(first) for _ in range(4)] == [401] * 4
        # Who has nothing to tell asks nothing: the second one hears of them with its own first one.
        await told(redis, shard, 4)
        assert await login(second) == 401
        await told(redis, shard, 5)
        assert await login(second) == 401
        assert [await login(second), await login(first)] == [429, 401]
        await told(redis, shard, 7)
        assert await login(first) == 429
