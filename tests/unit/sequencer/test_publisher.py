"""The publisher: whatever happens around it, the bus ends at the committed head."""

import asyncio

import pytest

from app.bus.memory import MemoryBus
from app.errors import BusUnavailable, JournalUnavailable
from app.protocol.ports import BusEntry
from app.sequencer import publisher
from app.sequencer.publisher import Publisher


def entry_at(sequence: int, size: int = 1) -> BusEntry:
    """Return a batch of one command."""
    return BusEntry(sequence, sequence, bytes(size))


class JournalOfEntries:
    """Has every committed entry, and may be away."""

    def __init__(self) -> None:
        self.entries: list[BusEntry] = []
        self.faults: list[Exception] = []

    async def after(self, sequence: int, limit: int) -> list[BusEntry]:
        if self.faults:
            raise self.faults.pop()
        return [entry for entry in self.entries if entry.last_seq > sequence][:limit]


class BusAway(MemoryBus):
    """Takes nothing until it is back."""

    is_away = True

    async def last_seq(self) -> int:
        if self.is_away:
            raise BusUnavailable("away for the test")
        return await super().last_seq()


async def published(bus: MemoryBus, last_seq: int) -> list[int]:
    """Return the sequences on the bus once it is at one, after at most five seconds."""
    async with asyncio.timeout(5):
        while await bus.last_seq() < last_seq:  # noqa: ASYNC110  # polls the bus
            await asyncio.sleep(0.005)
    return [entry.last_seq for entry in await bus.read(0, limit=1_000, block_ms=0)]


async def test_a_journal_that_gives_up_while_the_bus_catches_up_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publisher, "BACKOFF_FIRST_S", 0.01)
    bus, journal = MemoryBus(), JournalOfEntries()
    journal.entries = [entry_at(sequence) for sequence in (1, 2, 3)]
    journal.faults = [JournalUnavailable("away for the test")]
    publishing = Publisher(bus, journal.after, head_seq=3)
    running = asyncio.create_task(publishing.run())
    try:
        assert await published(bus, 3) == [1, 2, 3]
        assert publishing.fault is None
        journal.entries.append(entry_at(4))
        publishing.offer(entry_at(4))
        assert await published(bus, 4) == [1, 2, 3, 4]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_what_waits_for_a_bus_that_is_away_is_bounded_in_bytes_and_is_published_from_the_journal_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publisher, "BACKOFF_FIRST_S", 0.01)
    bus, journal = BusAway(), JournalOfEntries()
    publishing = Publisher(bus, journal.after, head_seq=0)
    running = asyncio.create_task(publishing.run())
    size = publisher.BACKLOG_BYTES_MAX // 8
    most = 0
    try:
        for sequence in range(1, 30):
            journal.entries.append(entry_at(sequence, size))
            publishing.offer(journal.entries[-1])
            most = max(most, sum(len(entry.body) for entry, _ in publishing._backlog))
            await asyncio.sleep(0)
        bus.is_away = False
        assert most == publisher.BACKLOG_BYTES_MAX
        assert await published(bus, 29) == list(range(1, 30))
        # What left the backlog makes room in it.
        for sequence in range(30, 60):
            publishing.offer(entry_at(sequence, size))
            await published(bus, sequence)
        assert await published(bus, 59) == list(range(1, 60))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_settling_waits_for_the_bus_and_gives_up_on_one_that_is_away() -> None:
    bus, journal = BusAway(), JournalOfEntries()
    journal.entries = [entry_at(sequence) for sequence in (1, 2)]
    publishing = Publisher(bus, journal.after, head_seq=2)
    running = asyncio.create_task(publishing.run())
    try:
        async with asyncio.timeout(2):
            await publishing.settle(2, 0.05)
        assert await MemoryBus.last_seq(bus) == 0
        bus.is_away = False
        async with asyncio.timeout(5):
            await publishing.settle(2, 60)
        assert await bus.last_seq() == 2
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
