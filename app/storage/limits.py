"""The query of the limits projection: what is set on the level of the exchange and of each tier."""

import msgspec
from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.events import LimitsSet
from app.domain.limits import OPEN_ORDERS_DEFAULT
from app.storage.database import reading
from app.storage.tables import limit_levels

_limits = msgspec.msgpack.Decoder(LimitsSet)
_BY_TIER = select(limit_levels.c.limits).where(limit_levels.c.tier == bindparam("tier"))


async def get_limits(source: AsyncEngine | AsyncConnection, tier: str | None) -> dict[str, str] | None:
    """Return the limits that are set for a tier, or (None) for the exchange; None for an unknown tier."""
    async with reading(source) as connection:
        stored = (await connection.execute(_BY_TIER, {"tier": tier or ""})).scalar_one_or_none()
    if stored is not None:
        return _limits.decode(stored).limits
    # The exchange has a level before anybody changed it.
    return {"open_orders": str(OPEN_ORDERS_DEFAULT)} if tier is None else None
