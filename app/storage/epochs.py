"""Queries of the epochs projection."""

from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.storage.database import reading
from app.storage.tables import epochs

_NEWEST = select(func.max(epochs.c.epoch)).where(epochs.c.shard == bindparam("shard"))


async def newest_epoch(source: AsyncEngine | AsyncConnection, shard: int) -> int:
    """Return the epoch that began last, 0 before the first."""
    async with reading(source) as connection:
        return await connection.scalar(_NEWEST, {"shard": shard}) or 0
