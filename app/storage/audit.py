"""The audit log: who did what, append-only by trigger. `detail` never holds a secret."""

from typing import Any, NamedTuple

from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.storage.database import reading, writing
from app.storage.tables import audit
from app.storage.times import to_ms


class AuditEntry(NamedTuple):
    """One act; `engine_seq` is the command that carried it out, None for acts outside the engine."""

    actor: str
    action: str
    target: str | None
    detail: dict[str, Any]
    account_id: int | None = None
    address: str | None = None
    request_id: str | None = None
    engine_seq: int | None = None


class RecordedEntry(NamedTuple):
    """An act as it stands in the log."""

    audit_id: int
    recorded_at_ms: int
    entry: AuditEntry


async def record(source: AsyncEngine | AsyncConnection, entry: AuditEntry) -> None:
    """Append one act."""
    async with writing(source) as connection:
        await connection.execute(insert(audit).values(entry._asdict()))


async def list_entries(
    source: AsyncEngine | AsyncConnection, *, before: int | None = None, limit: int
) -> list[RecordedEntry]:
    """Return acts with an id below `before`, newest first."""
    query = select(audit).order_by(audit.c.audit_id.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.audit_id < before)
    async with reading(source) as connection:
        return [_entry(row) for row in await connection.execute(query)]


def _entry(row: Row[*tuple[Any, ...]]) -> RecordedEntry:
    entry = AuditEntry(**{name: getattr(row, name) for name in AuditEntry._fields})
    return RecordedEntry(row.audit_id, to_ms(row.recorded_at), entry)
