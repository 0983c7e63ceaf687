"""The query of the limits projection: what is set on the level of the exchange and of each tier."""

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.limits import OPEN_ORDERS_DEFAULT
from app.storage.database import reading
from app.storage.tables import limits

_BY_TIER = select(limits.c.limits).where(limits.c.shard == bindparam("shard"), limits.c.tier == bindparam("tier"))


async def get_limits(source: AsyncEngine | AsyncConnection, shard: int, tier: str | None) -> dict[str, str] | None:
    """Return the limits that are set for a tier, or (None) for the exchange; None for an unknown tier."""
    async with reading(source) as connection:
        found: dict[str, str] | None = await connection.scalar(_BY_TIER, {"shard": shard, "tier": tier or ""})
    # The exchange has a level before anybody changed it.
    return {"open_orders": str(OPEN_ORDERS_DEFAULT)} if found is None and tier is None else found
