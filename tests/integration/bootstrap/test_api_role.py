"""The API role in this process, on real servers: what ends it."""

import asyncio

import pytest

from app.bootstrap import api
from app.bootstrap.api import run_api
from app.bootstrap.startup import EXIT_LOST
from app.bus.redis import RedisBus
from app.bus.topics import stream_key
from app.config import Settings
from app.protocol.ports import BusEntry
from app.protocol.records import BatchRecord, encode

pytestmark = pytest.mark.usefixtures("role_in_process")

ENDS_WITHIN_S = 10.0


async def test_a_replica_that_cannot_follow_any_more_ends_instead_of_standing_still(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "LEADER_WAIT_S", 0.01)
    bus = RedisBus(settings.redis_url, stream_key(settings.shard, 1))
    served = asyncio.Event()
    running = asyncio.create_task(run_api(settings, announce=lambda _: served.set()))
    async with asyncio.timeout(ENDS_WITHIN_S):
        await served.wait()
        of_another_build = BatchRecord(1, 1, 1, 1, 1, commands=[], accounts=[], books=[], system=encode([["new", 1]]))
        await bus.publish([BusEntry(1, 1, encode(of_another_build))])
        assert await running == EXIT_LOST
    await bus.close()
