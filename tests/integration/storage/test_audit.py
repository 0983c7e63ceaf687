"""The audit log: appended, listed newest first, never changed."""

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.storage.audit import AuditEntry, list_entries, record


async def test_acts_are_listed_newest_first_in_pages(engine: AsyncEngine) -> None:
    acts = [
        AuditEntry("key:a", "deposit", f"account:{number}", {"amount": "1"}, engine_seq=number) for number in range(5)
    ]
    for act in acts:
        await record(engine, act)

    first = await list_entries(engine, limit=3)
    rest = await list_entries(engine, before=first[-1].audit_id, limit=3)

    assert [row.entry for row in [*first, *rest]] == acts[::-1]
    assert all(row.recorded_at_ms > 1_600_000_000_000 for row in first)


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"])
async def test_what_was_recorded_cannot_be_changed(
    engine: AsyncEngine, module_database_url: str, statement: str
) -> None:
    await record(engine, AuditEntry("key:a", "login", None, {}))

    connection = await asyncpg.connect(module_database_url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="audit is append-only"):
        await connection.execute(statement)
    await connection.close()
