"""Queries of the fills projection: one side's view of each trade, in the order of its account."""

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.enums import Liquidity, Side
from app.domain.events import Fill
from app.storage.database import reading
from app.storage.tables import fills


class FillRow(NamedTuple):
    """A fill with what its order adds to it."""

    fill: Fill
    order_id: int
    client_order_id: str | None
    symbol: str
    side: Side
    engine_seq: int
    timestamp_ns: int


class FillFilters(NamedTuple):
    """What a list of fills is narrowed to; None leaves it wide. `since_ns` is inclusive, `until_ns` is not."""

    symbol: str | None = None
    order_id: int | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    symbols: Collection[str] | None = None


async def list_fills(
    source: AsyncEngine | AsyncConnection,
    account_id: int,
    filters: FillFilters = FillFilters(),  # noqa: B008  # immutable
    *,
    before: int | None = None,
    limit: int,
) -> list[FillRow]:
    """Return an account's fills with an account_seq below `before`, newest first."""
    query = select(fills).where(fills.c.account_id == account_id)
    if before is not None:
        query = query.where(fills.c.account_seq < before)
    if filters.symbol is not None:
        query = query.where(fills.c.symbol == filters.symbol)
    if filters.symbols is not None:
        query = query.where(fills.c.symbol.in_(filters.symbols))
    if filters.order_id is not None:
        query = query.where(fills.c.order_id == filters.order_id)
    if filters.since_ns is not None:
        query = query.where(fills.c.timestamp_ns >= filters.since_ns)
    if filters.until_ns is not None:
        query = query.where(fills.c.timestamp_ns < filters.until_ns)
    async with reading(source) as connection:
        rows = await connection.execute(query.order_by(fills.c.account_seq.desc()).limit(limit))
        return [_fill(row) for row in rows]


def _fill(row: Row[*tuple[Any, ...]]) -> FillRow:
    return FillRow(
        fill=Fill(
            trade_id=row.trade_id,
            price=row.price,
            quantity=row.quantity,
            fee=row.fee,
            liquidity=Liquidity(row.liquidity),
            account_seq=row.account_seq,
        ),
        order_id=row.order_id,
        client_order_id=row.client_order_id,
        symbol=row.symbol,
        side=Side(row.side),
        engine_seq=row.engine_seq,
        timestamp_ns=row.timestamp_ns,
    )
