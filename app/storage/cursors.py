"""How far the projections are: the base of `as_of_seq` and of read-your-own-writes."""

import asyncio

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.errors import ApiError
from app.storage.database import reading
from app.storage.tables import projection_cursors

CORE = "core"
"""The projection of orders, fills, trades, balances, accounts, assets, instruments and account_events."""

POLL_FIRST_S = 0.002
POLL_MAX_S = 0.02
RETRY_AFTER_MS = 250

_CURSOR = select(projection_cursors.c.last_seq).where(
    projection_cursors.c.projection == CORE, projection_cursors.c.shard == bindparam("shard")
)


async def cursor(source: AsyncEngine | AsyncConnection, shard: int) -> int:
    """Return the last sequence that the core projection has applied, 0 if none."""
    async with reading(source) as connection:
        return await connection.scalar(_CURSOR, {"shard": shard}) or 0


async def wait_applied(engine: AsyncEngine, shard: int, min_seq: int, timeout_s: float = 2.0) -> int:
    """Return the core cursor once it has reached `min_seq`. Raises ApiError `not_caught_up` after the timeout."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + timeout_s
    pause = POLL_FIRST_S
    while (applied := await cursor(engine, shard)) < min_seq:
        if clock() >= deadline:
            raise ApiError(
                "not_caught_up",
                "That sequence is not applied here yet.",
                limit=str(min_seq),
                actual=str(applied),
                retry_after_ms=RETRY_AFTER_MS,
            )
        # No connection is held while waiting.
        await asyncio.sleep(pause)
        pause = min(2 * pause, POLL_MAX_S)
    return applied
