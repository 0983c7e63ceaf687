"""Queries of the ledger: an account's entries, and whether all of them add up."""

from typing import NamedTuple

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.storage.database import reading
from app.storage.tables import balances, ledger_entries


class LedgerRow(NamedTuple):
    """An entry in units of its asset; `balance` is available and held after it."""

    entry_id: int
    asset: str
    amount: int
    balance: int
    cause: str
    ref: str
    engine_seq: int
    timestamp_ns: int


class AssetSums(NamedTuple):
    """What all accounts have of an asset, outside and fees included, and what all entries moved; both must be 0."""

    asset: str
    balances: int
    entries: int


_ENTRIES = select(
    ledger_entries.c.entry_id,
    ledger_entries.c.asset,
    ledger_entries.c.amount,
    ledger_entries.c.balance,
    ledger_entries.c.cause,
    ledger_entries.c.ref,
    ledger_entries.c.engine_seq,
    ledger_entries.c.timestamp_ns,
).where(ledger_entries.c.account_id == bindparam("account_id"))
_BALANCES = select(balances.c.asset, func.sum(balances.c.available + balances.c.held)).group_by(balances.c.asset)
_MOVED = select(ledger_entries.c.asset, func.sum(ledger_entries.c.amount)).group_by(ledger_entries.c.asset)
_DIFFERING = text("""
SELECT count(*) FROM balances FULL JOIN (
    SELECT account_id, asset, sum(amount) AS moved FROM ledger_entries GROUP BY account_id, asset
) AS ledger USING (account_id, asset)
WHERE coalesce(available + held, 0) <> coalesce(moved, 0)
""")


async def list_entries(
    source: AsyncEngine | AsyncConnection,
    account_id: int,
    *,
    asset: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[LedgerRow]:
    """Return an account's entries with an id below `before`, newest first."""
    query = _ENTRIES
    if asset is not None:
        query = query.where(ledger_entries.c.asset == asset)
    if before is not None:
        query = query.where(ledger_entries.c.entry_id < before)
    query = query.order_by(ledger_entries.c.entry_id.desc()).limit(limit)
    async with reading(source) as connection:
        rows = await connection.execute(query, {"account_id": account_id})
        return [LedgerRow(row[0], row[1], int(row[2]), int(row[3]), *row[4:]) for row in rows]


async def sums_by_asset(source: AsyncEngine | AsyncConnection) -> list[AssetSums]:
    """Return the sums of every asset, by asset."""
    async with reading(source) as connection:
        held = {asset: int(total) for asset, total in await connection.execute(_BALANCES)}
        moved = {asset: int(total) for asset, total in await connection.execute(_MOVED)}
    return [AssetSums(asset, held.get(asset, 0), moved.get(asset, 0)) for asset in sorted({*held, *moved})]


async def differing_balances(source: AsyncEngine | AsyncConnection) -> int:
    """Return how many balances are not the sum of their entries; there must be none."""
    async with reading(source) as connection:
        return int((await connection.scalar(_DIFFERING)) or 0)
