"""Queries of the trades projection: public trades by their contiguous ids, and sums per minute."""

from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Row, Select, func, select
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.enums import Side
from app.domain.events import TradeExecuted
from app.storage.database import reading
from app.storage.tables import trades

MINUTE_NS = 60_000_000_000

_SELECT = select(
    trades.c.symbol,
    trades.c.trade_id,
    trades.c.engine_seq,
    trades.c.price,
    trades.c.quantity,
    trades.c.taker_side,
    trades.c.maker_order_id,
    trades.c.taker_order_id,
    trades.c.maker_account_id,
    trades.c.taker_account_id,
    trades.c.timestamp_ns,
)
_MINUTE = (trades.c.timestamp_ns // MINUTE_NS).label("minute")
_MINUTES = (
    select(
        trades.c.symbol,
        _MINUTE,
        func.array_agg(aggregate_order_by(trades.c.price, trades.c.trade_id.asc()), type_=ARRAY(BigInteger))[1],
        func.max(trades.c.price),
        func.min(trades.c.price),
        func.array_agg(aggregate_order_by(trades.c.price, trades.c.trade_id.desc()), type_=ARRAY(BigInteger))[1],
        func.sum(trades.c.quantity),
        func.sum(trades.c.price * trades.c.quantity),
        func.count(),
    )
    .group_by(trades.c.symbol, _MINUTE)
    .order_by(trades.c.symbol, _MINUTE)
)


class TradeRow(NamedTuple):
    """A public trade and the time of its batch."""

    trade: TradeExecuted
    timestamp_ns: int


class MinuteTrades(NamedTuple):
    """All trades of one instrument in one minute: prices in ticks, quantities in lots.

    `quote_quantity` is the sum of price times quantity, in tick-lots: times the instrument's
    notional_unit it is quote units.
    """

    symbol: str
    start_ns: int
    open: int
    high: int
    low: int
    close: int
    quantity: int
    quote_quantity: int
    trades: int


async def list_trades(
    source: AsyncEngine | AsyncConnection, symbol: str, *, before: int | None = None, limit: int
) -> list[TradeRow]:
    """Return an instrument's trades with an id below `before`, newest first."""
    query = _SELECT.where(trades.c.symbol == symbol)
    if before is not None:
        query = query.where(trades.c.trade_id < before)
    return await _all(source, query.order_by(trades.c.trade_id.desc()).limit(limit))


async def list_trades_after(
    source: AsyncEngine | AsyncConnection, symbol: str, after_id: int, *, limit: int
) -> list[TradeRow]:
    """Return an instrument's trades with an id above `after_id`, oldest first."""
    query = _SELECT.where(trades.c.symbol == symbol, trades.c.trade_id > after_id)
    return await _all(source, query.order_by(trades.c.trade_id).limit(limit))


async def list_minutes(
    source: AsyncEngine | AsyncConnection, since_ns: int, *, symbol: str | None = None
) -> list[MinuteTrades]:
    """Return the trades since a time summed per minute, by symbol, oldest first; minutes without trades are left out.

    The base of 24-hour figures: one pass over a day's trades, for a replica's start and not for every request.
    """
    query = _MINUTES.where(trades.c.timestamp_ns >= since_ns)
    if symbol is not None:
        query = query.where(trades.c.symbol == symbol)
    async with reading(source) as connection:
        return [
            MinuteTrades(name, minute * MINUTE_NS, opened, high, low, closed, int(quantity), int(quote_quantity), count)
            for name, minute, opened, high, low, closed, quantity, quote_quantity, count in await connection.execute(
                query
            )
        ]


async def _all(source: AsyncEngine | AsyncConnection, query: Select[*tuple[Any, ...]]) -> list[TradeRow]:
    async with reading(source) as connection:
        return [_trade(row) for row in await connection.execute(query)]


def _trade(row: Row[*tuple[Any, ...]]) -> TradeRow:
    symbol, trade_id, engine_seq, price, quantity, taker_side, *parties, timestamp_ns = row
    return TradeRow(
        TradeExecuted(symbol, trade_id, engine_seq, price, quantity, Side(taker_side), *parties), timestamp_ns
    )
