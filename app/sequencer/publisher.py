"""Sends committed batches to the bus, off the acknowledgement path.

The bus is a rebuildable cache: whatever it misses is published again from the journal, under the
same ids, so a consumer never sees anything twice or out of order.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from app import metrics
from app.errors import BusUnavailable, JournalUnavailable
from app.protocol.ports import Bus, BusEntry
from app.stages import TIMES, Stage

BACKLOG_MAX = 10_000
BACKLOG_BYTES_MAX = 32 << 20
"""Committed batches waiting for the bus, and their bytes; beyond either they are read back from the journal."""
PUBLISH_ENTRIES_MAX = 256
REPUBLISH_ROWS = 500
TRIM_KEEP = 200_000
"""Commands the bus keeps behind the head."""
TRIM_EVERY = 10_000
SETTLE_POLL_S = 0.005
BACKOFF_FIRST_S = 0.05
BACKOFF_MAX_S = 1.0

log = structlog.get_logger(__name__)

Entries = Callable[[int, int], Awaitable[list[BusEntry]]]
"""Reads committed entries after a sequence from the journal, at most so many."""


class Publisher:
    """Keeps the bus at the committed head."""

    def __init__(self, bus: Bus, entries: Entries, head_seq: int) -> None:
        self._bus = bus
        self._entries = entries
        self._backlog: deque[tuple[BusEntry, float]] = deque()
        """Entries, and when they came on the monotonic clock."""
        self._backlog_bytes = 0
        self._wake = asyncio.Event()
        self._head_seq = head_seq
        self._published = -1
        self._trimmed = 0
        self.fault: str | None = None
        """Why the last attempt to publish failed; None since one succeeded."""

    def offer(self, entry: BusEntry) -> None:
        """Take a committed batch; never waits."""
        self._head_seq = entry.last_seq
        size = len(entry.body)
        if len(self._backlog) >= BACKLOG_MAX or self._backlog_bytes + size > BACKLOG_BYTES_MAX:
            self._backlog.clear()
            self._backlog_bytes = 0
            self._published = -1
        self._backlog.append((entry, time.monotonic()))
        self._backlog_bytes += size
        self._wake.set()

    async def settle(self, head_seq: int, seconds: float) -> None:
        """Wait until the bus is at a sequence, but no longer than so many seconds: the next leader has the rest."""
        until = time.monotonic() + seconds
        while self._published < head_seq and time.monotonic() < until:  # noqa: ASYNC110  # once, at the end
            await asyncio.sleep(SETTLE_POLL_S)

    async def run(self) -> None:
        """Publish for ever; survives a bus that is away, empty or rolled back, and a journal that is away."""
        backoff = BACKOFF_FIRST_S
        while True:
            try:
                if self._published < 0:
                    await self._catch_up()
                await self._drain()
                backoff = BACKOFF_FIRST_S
            except (BusUnavailable, JournalUnavailable) as error:
                log.warning("not_published", reason=str(error))
                self.fault = str(error)
                metrics.BUS_LAG_COMMANDS.set(self._head_seq - max(self._published, 0))
                self._published = -1
                await asyncio.sleep(backoff * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, not a secret)
                backoff = min(backoff * 2, BACKOFF_MAX_S)

    async def _catch_up(self) -> None:
        """Ask the bus where it stands and publish what it lacks from the journal."""
        position = max(await self._bus.last_seq(), self._head_seq - TRIM_KEEP)
        while position < self._head_seq:
            entries = await self._entries(position, REPUBLISH_ROWS)
            if not entries:
                break
            await self._bus.publish(entries)
            position = entries[-1].last_seq
        self._published = position
        self.fault = None

    async def _drain(self) -> None:
        while not self._backlog:
            self._wake.clear()
            await self._wake.wait()
        entries: list[BusEntry] = []
        offered: list[float] = []
        while self._backlog and len(entries) < PUBLISH_ENTRIES_MAX:
            entry, at = self._backlog.popleft()
            self._backlog_bytes -= len(entry.body)
            if entry.last_seq > self._published:
                entries.append(entry)
                offered.append(at)
        if not entries:
            return
        if entries[0].first_seq != self._published + 1:
            # The backlog lost what lies between; the journal has it.
            self._published = -1
            return
        try:
            await self._bus.publish(entries)
        except BusUnavailable:
            self._published = -1
            raise
        self._published = entries[-1].last_seq
        now = time.monotonic()
        for entry, at in zip(entries, offered, strict=True):
            TIMES[Stage.PUBLISH].add(now - at, entry.last_seq - entry.first_seq + 1)
        metrics.BUS_LAG_COMMANDS.set(self._head_seq - self._published)
        if self._published - self._trimmed >= TRIM_EVERY:
            self._trimmed = self._published
            await self._bus.trim(max(self._published - TRIM_KEEP, 0))
