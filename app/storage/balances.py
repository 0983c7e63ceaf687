"""Queries of the balances projection."""

from typing import NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.storage.database import reading
from app.storage.tables import balances


class BalanceRow(NamedTuple):
    """What an account has of one asset, in units of the asset."""

    asset: str
    available: int
    held: int


_BALANCES = (
    select(balances.c.asset, balances.c.available, balances.c.held)
    .where(balances.c.account_id == bindparam("account_id"))
    .order_by(balances.c.asset)
)


async def list_balances(source: AsyncEngine | AsyncConnection, account_id: int) -> list[BalanceRow]:
    """Return an account's balances by asset, zero ones too."""
    async with reading(source) as connection:
        rows = await connection.execute(_BALANCES, {"account_id": account_id})
        return [BalanceRow(asset, int(available), int(held)) for asset, available, held in rows]
