"""The query of the audit: administrators' commands, in the order of the journal."""

from typing import NamedTuple

from sqlalchemy import Text, cast, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.storage.database import reading
from app.storage.tables import audit


class AuditRow(NamedTuple):
    """One command; `details` are its fields as JSON text."""

    engine_seq: int
    timestamp_ns: int
    action: str
    account_id: int | None
    changed: bool
    details: str


_SELECT = select(
    audit.c.engine_seq,
    audit.c.timestamp_ns,
    audit.c.action,
    audit.c.account_id,
    audit.c.changed,
    cast(audit.c.details, Text),
)


async def list_acts(
    source: AsyncEngine | AsyncConnection,
    shard: int,
    *,
    account_id: int | None = None,
    before: int | None = None,
    limit: int,
) -> list[AuditRow]:
    """Return a shard's commands with a sequence below `before`, newest first."""
    query = _SELECT.where(audit.c.shard == shard)
    if account_id is not None:
        query = query.where(audit.c.account_id == account_id)
    if before is not None:
        query = query.where(audit.c.engine_seq < before)
    async with reading(source) as connection:
        rows = await connection.execute(query.order_by(audit.c.engine_seq.desc()).limit(limit))
        return [AuditRow(*row) for row in rows]
