"""The outbox: order, bounds, what is dropped and what never is."""

import asyncio

import pytest

from app.streaming.outbox import LOW_WATER_BYTES, Outbox


class Recorder:
    def __init__(self, **bounds: int) -> None:
        self.lags = 0
        self.overflows = 0
        self.outbox = Outbox(on_lag=self._lag, on_overflow=self._overflow, **bounds)

    def _lag(self) -> None:
        self.lags += 1

    def _overflow(self) -> None:
        self.overflows += 1

    def taken(self) -> list[str]:
        found = []
        while (text := self.outbox.take()) is not None:
            found.append(text)
        return found


def test_frames_leave_in_the_order_they_came() -> None:
    box = Recorder()
    box.outbox.put_state("s1")
    box.outbox.put_fact("f1")
    box.outbox.put_state("s2")
    assert box.taken() == ["s1", "f1", "s2"]


def test_state_past_its_bound_is_dropped_and_facts_stay() -> None:
    box = Recorder(state_bytes_max=5)
    for text in ("aaa", "FACT", "bbb"):
        (box.outbox.put_fact if text == "FACT" else box.outbox.put_state)(text)
    assert not box.outbox.put_state("ccc")
    assert (box.lags, box.overflows) == (1, 0)
    assert box.taken() == ["FACT"]
    assert box.outbox.put_state("ddd")
    assert box.taken() == ["ddd"]


def test_single_frame_above_the_bound_passes() -> None:
    box = Recorder(state_bytes_max=5)
    assert box.outbox.put_state("x" * 1000)
    assert box.taken() == ["x" * 1000]
    assert box.lags == 0


def test_facts_past_their_bound_overflow() -> None:
    box = Recorder(fact_bytes_max=5)
    box.outbox.put_fact("aaa")
    box.outbox.put_fact("bbb")
    assert box.overflows == 0
    box.outbox.put_fact("ccc")
    assert box.overflows == 1
    assert box.taken() == ["aaa", "bbb"]


def test_state_makes_room_for_facts_when_frames_run_out() -> None:
    box = Recorder(frames_max=3)
    for _ in range(3):
        box.outbox.put_state("s")
    box.outbox.put_fact("f")
    assert (box.lags, box.overflows) == (1, 0)
    assert box.taken() == ["f"]


def test_taking_gives_the_room_back() -> None:
    box = Recorder(state_bytes_max=5, fact_bytes_max=5)
    for _ in range(100):
        assert box.outbox.put_state("sss")
        box.outbox.put_fact("fff")
        assert len(box.taken()) == 2
    assert (box.lags, box.overflows) == (0, 0)


def test_room_is_below_the_low_water_mark() -> None:
    box = Recorder()
    box.outbox.put_state("x" * LOW_WATER_BYTES)
    assert not box.outbox.has_room
    box.taken()
    assert box.outbox.has_room


async def test_writer_wakes_for_a_frame_and_for_a_call() -> None:
    box = Recorder()
    waiting = asyncio.create_task(box.outbox.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    box.outbox.put_fact("f")
    await waiting
    box.taken()
    waiting = asyncio.create_task(box.outbox.wait())
    await asyncio.sleep(0)
    box.outbox.wake()
    await waiting


async def test_waiting_for_room_ends_when_the_reader_catches_up() -> None:
    box = Recorder()
    await box.outbox.room()
    for _ in range(3):
        box.outbox.put_fact("x" * LOW_WATER_BYTES)
    waiting = asyncio.create_task(box.outbox.room())
    await asyncio.sleep(0)
    for _ in range(2):
        box.outbox.take()
        await asyncio.sleep(0)
        assert not waiting.done()
    box.outbox.take()
    await waiting


@pytest.mark.parametrize("bound", [{"state_bytes_max": 1 << 20}, {}])
def test_memory_of_a_reader_who_stopped_is_bounded(bound: dict[str, int]) -> None:
    box = Recorder(**bound)
    for _ in range(30_000):
        box.outbox.put_state("x" * 200)
    assert box.lags > 3
    assert sum(len(text) for text in box.taken()) <= (1 << 20) + 400
