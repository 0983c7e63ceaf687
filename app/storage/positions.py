"""Queries of the positions projection."""

from typing import NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.storage.database import reading
from app.storage.tables import positions


class PositionRow(NamedTuple):
    """A position: net lots, and amounts in quote units."""

    symbol: str
    quantity: int
    cost: int
    realized_pnl: int
    fees: int


_POSITIONS = (
    select(positions.c.symbol, positions.c.quantity, positions.c.cost, positions.c.realized_pnl, positions.c.fees)
    .where(positions.c.account_id == bindparam("account_id"))
    .order_by(positions.c.symbol)
)


async def list_positions(source: AsyncEngine | AsyncConnection, account_id: int) -> list[PositionRow]:
    """Return an account's positions by symbol, closed ones too."""
    async with reading(source) as connection:
        rows = await connection.execute(_POSITIONS, {"account_id": account_id})
        return [PositionRow(symbol, *map(int, figures)) for symbol, *figures in rows]
