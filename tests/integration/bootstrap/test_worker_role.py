"""The worker role in this process, on a real database: what ends it, and what does not."""

import asyncio

import pytest

from app.bootstrap import worker
from app.bootstrap.worker import run_worker
from app.config import Settings
from app.errors import JournalDamaged
from app.sequencer.follower import Follower

pytestmark = pytest.mark.usefixtures("role_in_process")

ENDS_WITHIN_S = 5.0


@pytest.fixture(autouse=True)
def own_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the collector of the tests' process alone."""
    monkeypatch.setattr(worker, "spare_the_engine", lambda: None)


def following_raises(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    async def run(self: Follower, stop: asyncio.Event) -> None:
        raise fault

    monkeypatch.setattr(Follower, "run", run)


async def test_a_mistake_of_the_follower_ends_the_worker(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    following_raises(monkeypatch, RuntimeError("a mistake"))
    async with asyncio.timeout(ENDS_WITHIN_S):
        with pytest.raises(RuntimeError, match="a mistake"):
            await run_worker(settings, announce=lambda _: None)


async def test_the_projections_go_on_without_a_follower_that_diverged(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    following_raises(monkeypatch, JournalDamaged("another history"))
    stop = asyncio.Event()
    monkeypatch.setattr(worker, "stop_event", lambda: stop)
    running = asyncio.create_task(run_worker(settings, announce=lambda _: None))
    done, _ = await asyncio.wait({running}, timeout=0.3)
    assert not done
    stop.set()
    async with asyncio.timeout(ENDS_WITHIN_S):
        assert await running == 0
