"""Queries of the accounts projection. The engine's own two accounts have no row here."""

from typing import Any, NamedTuple

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.enums import AccountStatus
from app.storage.database import reading
from app.storage.tables import accounts


class AccountRow(NamedTuple):
    """An account; `account_seq` is the last of its private events that was projected."""

    account_id: int
    shard: int
    name: str
    status: AccountStatus
    account_seq: int
    created_ns: int


_SELECT = select(
    accounts.c.account_id,
    accounts.c.shard,
    accounts.c.name,
    accounts.c.status,
    accounts.c.account_seq,
    accounts.c.created_ns,
)


async def get_account(source: AsyncEngine | AsyncConnection, account_id: int) -> AccountRow | None:
    """Return an account, or None."""
    async with reading(source) as connection:
        row = (await connection.execute(_SELECT.where(accounts.c.account_id == account_id))).one_or_none()
    return None if row is None else _account(row)


async def list_accounts(
    source: AsyncEngine | AsyncConnection, *, before: int | None = None, limit: int
) -> list[AccountRow]:
    """Return accounts with an id below `before`, newest first."""
    query = _SELECT.order_by(accounts.c.account_id.desc()).limit(limit)
    if before is not None:
        query = query.where(accounts.c.account_id < before)
    async with reading(source) as connection:
        return [_account(row) for row in await connection.execute(query)]


def _account(row: Row[*tuple[Any, ...]]) -> AccountRow:
    return AccountRow(row.account_id, row.shard, row.name, AccountStatus(row.status), row.account_seq, row.created_ns)
