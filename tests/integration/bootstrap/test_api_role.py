"""The API role in this process, on real servers: what ends it."""

import asyncio
import random

import pytest

from app.bootstrap import api
from app.bootstrap.api import run_api
from app.bootstrap.startup import EXIT_LOST
from app.bus.redis import RedisBus
from app.bus.topics import stream_key
from app.config import Settings
from app.protocol.ports import BusEntry
from app.protocol.records import BatchRecord, encode
from tests.engine_process import SECRETS

ENDS_WITHIN_S = 10.0


@pytest.fixture
def settings(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a shard of the test's own, which never had a leader."""
    for name, value in {**SECRETS, "DATABASE_URL": database_url, "REDIS_URL": redis_url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ORDERWIRE_SHARD", str(random.randrange(1_000, 2**15)))
    monkeypatch.setenv("ORDERWIRE_API_PORT", "0")
    monkeypatch.setattr(api, "LEADER_WAIT_S", 0.01)
    return Settings()


async def test_a_replica_that_cannot_follow_any_more_ends_instead_of_standing_still(settings: Settings) -> None:
    bus = RedisBus(settings.redis_url, stream_key(settings.shard, 1))
    served = asyncio.Event()
    running = asyncio.create_task(run_api(settings, announce=lambda _: served.set()))
    async with asyncio.timeout(ENDS_WITHIN_S):
        await served.wait()
        of_another_build = BatchRecord(1, 1, 1, 1, 1, commands=[], accounts=[], books=[], system=encode([["new", 1]]))
        await bus.publish([BusEntry(1, 1, encode(of_another_build))])
        assert await running == EXIT_LOST
    await bus.close()
