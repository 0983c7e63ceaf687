"""The query of the accounts projection. The engine's own two accounts have no row here."""

from typing import NamedTuple

import msgspec
from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.enums import AccountStatus
from app.domain.events import AccountUpdated
from app.storage.database import reading
from app.storage.tables import accounts

_settings = msgspec.msgpack.Decoder(AccountUpdated)


class AccountRow(NamedTuple):
    """An account; `account_seq` is the last of its private events that was projected."""

    account_id: int
    shard: int
    name: str
    status: AccountStatus
    account_seq: int
    created_ns: int
    settings: AccountUpdated
    """Its tier, limits, group and restrictions, as stated last."""


_BY_ID = select(
    accounts.c.account_id,
    accounts.c.shard,
    accounts.c.name,
    accounts.c.status,
    accounts.c.account_seq,
    accounts.c.created_ns,
    accounts.c.engine_seq,
    accounts.c.settings,
).where(accounts.c.account_id == bindparam("account_id"))


async def get_account(source: AsyncEngine | AsyncConnection, account_id: int) -> AccountRow | None:
    """Return an account, or None."""
    async with reading(source) as connection:
        row = (await connection.execute(_BY_ID, {"account_id": account_id})).one_or_none()
    if row is None:
        return None
    status = AccountStatus(row.status)
    if row.settings is None:
        settings = AccountUpdated(row.engine_seq, row.account_id, status)
    else:
        settings = _settings.decode(row.settings)
    return AccountRow(row.account_id, row.shard, row.name, status, row.account_seq, row.created_ns, settings)
