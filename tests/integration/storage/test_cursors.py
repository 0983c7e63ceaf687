"""Waiting for the core projection when its database is in trouble: everybody is told, and soon."""

import asyncio

import pytest

from app.errors import JournalUnavailable
from app.storage import cursors
from app.storage.cursors import CoreCursor
from app.storage.database import create_database_engine
from tests.integration.storage.proxy import Fault, proxy_before


@pytest.mark.parametrize("fault", [Fault.DELAY, Fault.CUT_BEFORE])
async def test_everybody_who_waits_is_told_of_an_outage(
    database_url: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cursors, "POLL_TIMEOUT_S", 0.1)
    async with proxy_before(database_url) as (proxy, url):
        engine = create_database_engine(url, pool_size=2)
        core = CoreCursor(engine, 0)
        proxy.arm(*[fault] * 10)
        answers = await asyncio.gather(*(core.wait(7, 20.0) for _ in range(5)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [JournalUnavailable] * 5
        proxy.release()
        await engine.dispose()
