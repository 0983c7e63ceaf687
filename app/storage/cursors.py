"""How far the projections are: the base of `as_of_seq` and of read-your-own-writes."""

import asyncio

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.errors import ApiError, JournalUnavailable
from app.storage.database import reading
from app.storage.tables import projection_cursors
from app.waiting import SequenceWaits

CORE = "core"
"""The projection of orders, fills, trades, balances, accounts, assets, instruments and account_events."""

POLL_FIRST_S = 0.002
POLL_MAX_S = 0.02
POLL_TIMEOUT_S = 1.0
"""A frozen server would hold everybody up who waits."""
RETRY_AFTER_MS = 250

_CURSOR = select(projection_cursors.c.last_seq).where(
    projection_cursors.c.projection == CORE, projection_cursors.c.shard == bindparam("shard")
)


async def cursor(source: AsyncEngine | AsyncConnection, shard: int) -> int:
    """Return the last sequence that the core projection has applied, 0 if none."""
    async with reading(source) as connection:
        return await connection.scalar(_CURSOR, {"shard": shard}) or 0


class CoreCursor:
    """How far the core projection is, as far as one process knows: all who wait share one question at a time."""

    def __init__(self, engine: AsyncEngine, shard: int) -> None:
        self._engine = engine
        self._shard = shard
        self._applied = 0
        self._waits = SequenceWaits()
        self._polling: asyncio.Task[None] | None = None

    def note(self, applied: int) -> None:
        """Take in a cursor that was read; one that is lower than the last means that the tables are made anew."""
        self._applied = applied
        self._waits.release(applied)

    async def wait(self, min_seq: int, timeout_s: float) -> None:
        """Return once the cursor has reached `min_seq`.

        Raises ApiError `not_caught_up` after the timeout, or JournalUnavailable.
        """
        if min_seq <= self._applied:
            return
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        if not await self._waits.reached(min_seq, timeout_s):
            raise ApiError(
                "not_caught_up",
                "That sequence is not applied here yet.",
                limit=str(min_seq),
                actual=str(self._applied),
                retry_after_ms=RETRY_AFTER_MS,
            )

    async def _poll(self) -> None:
        """Read the cursor again and again, as long as somebody waits."""
        pause = POLL_FIRST_S
        try:
            while self._waits:
                self.note(await self._ask())
                if self._waits:
                    # No connection is held while waiting.
                    await asyncio.sleep(pause)
                pause = min(2 * pause, POLL_MAX_S)
        except Exception as fault:
            # A mistake too belongs to those who wait: nobody else would hear of it.
            self._waits.fail(fault)

    async def _ask(self) -> int:
        try:
            async with asyncio.timeout(POLL_TIMEOUT_S):
                return await cursor(self._engine, self._shard)
        except TimeoutError:
            raise JournalUnavailable("PostgreSQL does not answer") from None
