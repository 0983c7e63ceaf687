"""Follows the journal through the bus: every batch once, in order, without a gap.

The bus is only the fast way. Whatever it lacks (a gap, an outage, a wipe, a lag) is read from the
journal, and beyond `sources.HEAL_ROWS_MAX` rows the follower jumps to the journal's head and says
so. The bus of an epoch that is over may hold a history that was abandoned, so it is read only while
the epoch at the position is known. One task a replica; one blocking read at a time.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import msgspec

from app.errors import BusUnavailable
from app.protocol.ports import Bus, BusEntry
from app.protocol.records import BatchRecord, decode_batch
from app.streaming.sources import HEAL_PAGE_ROWS, HEAL_ROWS_MAX, Sources

READ_ENTRIES = 128
BLOCK_MS = 1_000
LAGGING_BLOCK_MS = 50
"""Wait of a read while the journal is ahead of the bus: the longest a batch is then late."""
POLL_S = 0.05
"""Pause between looks into the journal while the bus is down, and between attempts while both are."""
STALE_AFTER_S = 2.0
QUIET_LOOK_S = 0.5
"""How long the journal is waited for while the bus is quiet: meanwhile nothing that comes there is read."""
SLICE_S = 0.002
"""Work at most this long before other tasks get their turn."""

_log = logging.getLogger(__name__)
T = TypeVar("T")


class FeedSink(Protocol):
    """Who is told."""

    def apply(self, record: BatchRecord) -> None:
        """Take the next batch."""

    def jump(self, applied_seq: int) -> None:
        """Continue at a later sequence: what lies between is lost to this follower.

        The journal is followed until `start_epoch` tells the epoch at that sequence.
        """

    def stale(self, is_stale: bool) -> None:
        """Neither bus nor journal can be read, or can be again."""


class Feed:
    """The follower. After `start_at` and `start_epoch`, `run` it in a task and `check_stale` now and then beside it."""

    def __init__(self, *, open_bus: Callable[[int], Bus], sources: Sources, sink: FeedSink) -> None:
        self.applied_seq = 0
        self.epoch: int | None = None
        """Of the stream that continues this position; None while it is not known."""
        self._open_bus = open_bus
        self._bus: Bus | None = None
        self._bus_epoch: int | None = None
        self._sources = sources
        self._sink = sink
        self._block_ms = BLOCK_MS
        self._is_stale = False
        self._journal_is_down = False
        self._heard_s = time.monotonic()
        self._slice_end_s = 0.0

    def start_at(self, applied_seq: int) -> None:
        """Take everything up to a sequence as applied."""
        self.applied_seq = applied_seq

    def start_epoch(self, epoch: int) -> None:
        """Continue on the stream of an epoch from the next read on."""
        self.epoch = epoch

    async def run(self) -> None:
        """Follow until canceled."""
        # What came before, a start that waited for its instruments, was no silence.
        self._heard()
        while True:
            bus = await self._current_bus()
            if bus is None:
                await self._catch_up()
                await asyncio.sleep(POLL_S)
                continue
            try:
                entries = await bus.read(self.applied_seq, limit=READ_ENTRIES, block_ms=self._block_ms)
            except BusUnavailable as fault:
                _log.warning("the bus is unavailable, following the journal: %s", fault)
                await self._follow_journal(bus)
                _log.info("the bus is back")
                continue
            self._heard()
            if entries:
                for entry in entries:
                    if self._is_on_stream:
                        await self._take(entry)
            else:
                # Quiet, or a bus that has lost its publisher: only the journal knows.
                is_behind = await self._is_behind() and await self._catch_up()
                self._block_ms = LAGGING_BLOCK_MS if is_behind else BLOCK_MS

    def check_stale(self) -> None:
        """Judge whether bus and journal are lost: not `run`'s work, which may be waiting for either of them."""
        if not self._is_stale and time.monotonic() - self._heard_s > STALE_AFTER_S:
            self._is_stale = True
            self._sink.stale(True)

    async def close(self) -> None:
        """Let go of the bus; `run` was canceled before."""
        await self._close_bus()

    @property
    def _is_on_stream(self) -> bool:
        return self._bus_epoch == self.epoch

    async def _current_bus(self) -> Bus | None:
        """Return the bus of the current epoch, opened if need be, or None while the epoch is not known."""
        if not self._is_on_stream:
            await self._close_bus()
            epoch = self.epoch
            self._bus = None if epoch is None else self._open_bus(epoch)
            self._bus_epoch = epoch
        return self._bus

    async def _take(self, entry: BusEntry) -> None:
        if entry.last_seq <= self.applied_seq:
            return
        if entry.first_seq == self.applied_seq + 1:
            try:
                record = decode_batch(entry.body)
            except msgspec.DecodeError:
                _log.exception("the bus entry of sequence %d is damaged, reading the journal", entry.last_seq)
            else:
                self._block_ms = BLOCK_MS
                await self._apply(record)
                return
        await self._heal(entry.last_seq)

    async def _apply(self, record: BatchRecord) -> None:
        self.applied_seq = record.last_seq
        self._sink.apply(record)
        now_s = time.monotonic()
        if now_s >= self._slice_end_s:
            await asyncio.sleep(0)
            self._slice_end_s = time.monotonic() + SLICE_S

    async def _heal(self, upto: int) -> None:
        """Read the journal until `upto` is applied, however long it takes: nothing is forwarded past a gap.

        Another epoch ends it: the journal will never reach what was told on the stream of an abandoned history.
        """
        while self.applied_seq < upto and self._is_on_stream:
            await self._catch_up()
            if self.applied_seq < upto:
                await asyncio.sleep(POLL_S)

    async def _is_behind(self) -> bool:
        """Say whether the journal, if it answers soon, has more than was applied."""
        head_seq = await self._ask(self._sources.journal_head(), within_s=QUIET_LOOK_S)
        return head_seq is not None and head_seq > self.applied_seq

    async def _catch_up(self) -> bool:
        """Apply what the journal has beyond the position; says whether that was anything."""
        before = self.applied_seq
        rows_left = HEAL_ROWS_MAX
        while rows_left > 0:
            rows = await self._ask(self._sources.journal_rows(self.applied_seq, HEAL_PAGE_ROWS))
            for row in rows or ():
                if row.first_seq != self.applied_seq + 1:
                    # Rows that old are archived.
                    rows_left = 0
                    break
                await self._apply(row)
            else:
                # A page may be short for its size in bytes: only an empty one is the end.
                if not rows:
                    return self.applied_seq > before
                rows_left -= len(rows)
        head_seq = await self._ask(self._sources.journal_head())
        if head_seq is not None and head_seq > self.applied_seq:
            _log.warning("too far behind: jumping from %d to %d", self.applied_seq, head_seq)
            self.applied_seq = head_seq
            # An epoch may have begun in between.
            self.epoch = None
            self._sink.jump(head_seq)
        return self.applied_seq > before

    async def _ask(self, answer: Awaitable[T], *, within_s: float | None = None) -> T | None:
        """Return the journal's answer, or None when it cannot be read."""
        try:
            async with asyncio.timeout(within_s):
                found = await answer
        except Exception as fault:
            # Drivers have exceptions of their own; whatever it was, the journal is asked again.
            if not self._journal_is_down:
                _log.warning("the journal cannot be read: %r", fault)
            self._journal_is_down = True
            return None
        self._journal_is_down = False
        self._heard()
        return found

    async def _follow_journal(self, bus: Bus) -> None:
        """Poll the journal until the bus answers again."""
        while True:
            probe = asyncio.create_task(bus.read(self.applied_seq, limit=1, block_ms=0))
            try:
                while not probe.done():
                    await self._catch_up()
                    await asyncio.wait([probe], timeout=POLL_S)
                if probe.exception() is None:
                    return
            finally:
                probe.cancel()
            await asyncio.sleep(POLL_S)

    def _heard(self) -> None:
        self._heard_s = time.monotonic()
        if self._is_stale:
            self._is_stale = False
            self._sink.stale(False)

    async def _close_bus(self) -> None:
        bus, self._bus = self._bus, None
        if bus is None:
            return
        try:
            await bus.close()
        except BusUnavailable as fault:
            _log.warning("%s", fault)
