"""The alarm of a loop that waits often: never later than the earliest moment that was asked for."""

import asyncio

import pytest

from app.sequencer.alarm import Alarm

RINGS_S = 2.0


class Bell:
    def __init__(self) -> None:
        self.rings = 0
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self.rings += 1
        self._rung.set()

    async def heard(self) -> None:
        await asyncio.wait_for(self._rung.wait(), RINGS_S)
        self._rung.clear()


@pytest.mark.parametrize("moments_s", [(0.02, 60), (60, 0.02)], ids=["later", "earlier"])
async def test_the_earliest_moment_counts_whichever_came_first(moments_s: tuple[float, ...]) -> None:
    bell = Bell()
    alarm = Alarm(bell.ring)
    for seconds in moments_s:
        alarm.set(seconds)
    await bell.heard()


async def test_however_often_it_is_set_it_rings_once_and_can_be_set_again() -> None:
    bell = Bell()
    alarm = Alarm(bell.ring)
    for number in range(100):
        alarm.set(0.02 + number / 10_000)
        alarm.set(0.02 - number / 10_000)
    await bell.heard()
    await asyncio.sleep(0.1)
    assert bell.rings == 1
    alarm.set(0.01)
    await bell.heard()
    assert bell.rings == 2
