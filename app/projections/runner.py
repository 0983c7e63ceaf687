"""Follows the journal for the core projection, in the worker role.

A hint (the bus) makes it fast, polling makes it sure. PostgreSQL may go away at any moment: the runner
comes back with it. Damage in the journal stops it, because a row must never be skipped.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from app.errors import JournalUnavailable
from app.projections.core import CoreProjector
from app.stages import TIMES, Stage
from app.storage.connection import backoff, is_server_fault
from app.storage.journal import Journal
from app.tasks import end_all

RUN_ROWS_MAX = 64
RUN_BYTES_MAX = 4 << 20
"""Journal rows of one transaction: a backlog is applied in steps that readers can see and no timeout can stop."""
POLL_S = 0.02
HINTED_POLL_S = 0.1
"""Pause between looks at the journal while a hint is waited for: it may be lost, or never come."""
JOURNAL_PATIENCE_S = 1.0

log = structlog.get_logger(__name__)

Hint = Callable[[], Coroutine[Any, Any, object]]
"""Waits, for a bounded time, until there may be new rows."""


class ProjectionRunner:
    """Keeps the core tables of one shard up with its journal."""

    def __init__(self, dsn: str, shard: int, *, hint: Hint | None = None) -> None:
        self._journal = Journal(dsn, shard, give_up_s=JOURNAL_PATIENCE_S)
        self._projector = CoreProjector(dsn, shard)
        self._hint = hint
        self._hinted: asyncio.Task[object] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until `stop` is set. Raises JournalDamaged, and whatever is a mistake rather than an outage."""
        following = asyncio.create_task(self._follow())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                await following
        finally:
            # Cutting a transaction short is safe: its cursor is cut with it.
            await end_all([task for task in (following, stopping, self._hinted) if task is not None])
            await self._projector.close()
            await self._journal.close()

    async def _follow(self) -> None:
        failures = 0
        while True:
            try:
                if not await self._step():
                    await self._wait_for_news()
                if failures:
                    log.info("projection_resumed", cursor=await self._projector.cursor())
                failures = 0
            except Exception as fault:
                if not isinstance(fault, JournalUnavailable) and not is_server_fault(fault):
                    raise
                if not failures:
                    log.warning("projection_waits_for_postgresql", reason=f"{type(fault).__name__}: {fault}")
                await asyncio.sleep(backoff(failures))
                failures += 1

    async def _step(self) -> bool:
        """Apply the next rows; returns whether there were any."""
        rows = await self._journal.rows(await self._projector.cursor(), RUN_ROWS_MAX, bytes_max=RUN_BYTES_MAX)
        if rows:
            await self._projector.apply(rows)
            now_ns = time.time_ns()
            for row in rows:
                # The leader's clock wrote the row: on another host it may be ahead of ours.
                seconds = max(now_ns - row.timestamp_ns, 0) / 1e9
                TIMES[Stage.PROJECT].add(seconds, row.last_seq - row.first_seq + 1)
        return bool(rows)

    async def _wait_for_news(self) -> None:
        if self._hint is None:
            await asyncio.sleep(POLL_S)
            return
        if self._hinted is None:
            self._hinted = asyncio.create_task(self._hint())
        # The hint is left waiting: cancelling a read of the bus at every look would break its connection.
        await asyncio.wait({self._hinted}, timeout=HINTED_POLL_S)
        if self._hinted.done():
            hinted, self._hinted = self._hinted, None
            if hinted.exception() is not None or not await self._step():
                # The bus is away, or its hint was about rows that are applied already.
                await asyncio.sleep(POLL_S)
