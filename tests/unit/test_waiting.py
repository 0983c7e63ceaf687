"""Waiting for a sequence: released in order, told in time, and nothing is left behind."""

import asyncio

import pytest

from app.errors import JournalUnavailable
from app.waiting import SequenceWaits

LONG_S = 10.0


async def waiting(waits: SequenceWaits, *sequences: int) -> list[asyncio.Task[bool]]:
    """Return tasks that wait for each sequence."""
    tasks = [asyncio.create_task(waits.reached(sequence, LONG_S)) for sequence in sequences]
    await asyncio.sleep(0)
    assert len(waits) == len(sequences)
    return tasks


async def test_all_that_is_reached_is_released_and_nothing_else() -> None:
    waits = SequenceWaits()
    tasks = await waiting(waits, 9, 5, 7, 5)
    waits.release(4)
    assert len(waits) == 4
    waits.release(7)
    assert await asyncio.gather(*tasks[1:]) == [True, True, True]
    assert (tasks[0].done(), len(waits)) == (False, 1)
    waits.release(9)
    assert await tasks[0]


async def test_who_waits_in_vain_is_told_and_forgotten() -> None:
    waits = SequenceWaits()
    assert not await waits.reached(1, 0.01)
    assert len(waits) == 0


async def test_who_leaves_is_forgotten() -> None:
    waits = SequenceWaits()
    (task,) = await waiting(waits, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(waits) == 0


async def test_a_fault_reaches_everybody() -> None:
    waits = SequenceWaits()
    tasks = await waiting(waits, 1, 2)
    waits.fail(JournalUnavailable("away"))
    for task in tasks:
        with pytest.raises(JournalUnavailable, match="away"):
            await task
    assert len(waits) == 0
