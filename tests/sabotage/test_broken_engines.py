"""Judges are proven by engines that break one promise each: every one of them must turn a judge red.

The sound engine, with commits as slow and under the same faults, passes all of them: what is caught is the sabotage.
"""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.bus.redis import RedisBus
from app.bus.topics import stream_key
from app.dev.servers import LocalServers
from tests.chaos import test_engine_faults as engine_faults
from tests.chaos.cluster import signal_all
from tests.chaos.conftest import SEED, Exchange, trading
from tests.sabotage.broken_engine import COMMIT_S, SOUND

EPOCH = 1
KILLS = 3
ANSWERS_BETWEEN = 30
WAIT_S = 20.0
SETTLED_S = 20 * COMMIT_S
"""After a kill: whatever PostgreSQL had begun is committed or gone."""


@asynccontextmanager
async def engines(what: str, servers: LocalServers, database_url: str, logs: Path) -> AsyncIterator[Exchange]:
    """Yield a leader, a standby and clients, with engines that are broken in one way."""
    async with trading(servers, database_url, logs, program=("tests.sabotage.broken_engine", what)) as exchange:
        yield exchange


async def kill_leaders(exchange: Exchange) -> None:
    """Kill leaders under load. After each, whatever is on the bus must be in the journal. Raises AssertionError."""
    rng = random.Random(SEED)
    for _ in range(KILLS):
        await exchange.cluster.wait_for_standby()
        await exchange.load.wait_for_answers(rng.randint(ANSWERS_BETWEEN, 3 * ANSWERS_BETWEEN), WAIT_S)
        leader = await exchange.cluster.leader()
        signal_all([leader], signal.SIGKILL)
        await exchange.cluster.wait_for_end(leader, WAIT_S)
        await published_is_committed(exchange)
        await exchange.load.wait_for_answers(ANSWERS_BETWEEN, WAIT_S)


async def published_is_committed(exchange: Exchange) -> None:
    """Raise AssertionError if the bus has what the journal never got."""
    bus = RedisBus(exchange.cluster.servers.redis_url, stream_key(exchange.cluster.shard, EPOCH))
    try:
        published = await bus.last_seq()
    finally:
        await bus.close()
    assert published, "nothing was published at all"
    await asyncio.sleep(SETTLED_S)
    head = await exchange.cluster.head()
    assert published <= head.head_seq, f"published up to {published}, committed up to {head.head_seq}"


async def test_a_sound_engine_passes_every_judge_with_commits_this_slow(
    own_servers: LocalServers, empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_faults, "rounds", lambda usual, full: 2)
    async with engines(SOUND, own_servers, empty_database, tmp_path) as exchange:
        await kill_leaders(exchange)
        await engine_faults.test_of_two_leaders_only_one_commits(exchange)


async def test_answers_that_do_not_wait_for_the_commit_are_caught(
    own_servers: LocalServers, empty_database: str, tmp_path: Path
) -> None:
    async with engines("answer-before-commit", own_servers, empty_database, tmp_path) as exchange:
        await kill_leaders(exchange)
        with pytest.raises(AssertionError, match="is lost"):
            await exchange.judged()


async def test_publishing_before_the_commit_is_caught(
    own_servers: LocalServers, empty_database: str, tmp_path: Path
) -> None:
    async with engines("publish-before-commit", own_servers, empty_database, tmp_path) as exchange:
        with pytest.raises(AssertionError, match="published up to"):
            await kill_leaders(exchange)


async def test_a_leader_that_does_not_test_its_term_is_caught(
    own_servers: LocalServers, empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_faults, "rounds", lambda usual, full: 2)
    async with engines("forget-the-term", own_servers, empty_database, tmp_path) as exchange:
        # It is not the leader any more, and goes on: the judge waits for its end.
        with pytest.raises(TimeoutError):
            await engine_faults.test_of_two_leaders_only_one_commits(exchange)
