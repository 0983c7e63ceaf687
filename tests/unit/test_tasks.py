"""Ending tasks: also those that lose a cancellation, and never longer than so long."""

import asyncio
import contextlib

import pytest

from app import tasks
from app.tasks import end_all


async def fail() -> None:
    raise ValueError("a bug")


async def work() -> None:
    await asyncio.Event().wait()


async def settle() -> None:
    """Give the loop its turns."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_task_that_lost_its_cancellation_is_ended_all_the_same() -> None:
    async def loses_one() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await work()
        await work()

    started = [asyncio.create_task(loses_one()), asyncio.create_task(fail()), asyncio.create_task(work())]
    await settle()
    await end_all(started)
    assert all(task.done() for task in started)


async def test_a_task_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "CANCEL_AGAIN_S", 0.001)
    freed = asyncio.Event()

    async def goes_on() -> None:
        while not freed.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await freed.wait()

    task = asyncio.create_task(goes_on())
    await settle()
    async with asyncio.timeout(5):
        await end_all([task])
    assert not task.done()
    freed.set()
    await task
