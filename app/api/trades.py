"""`/v1/trades/{symbol}`: public trades, by contiguous ids."""

from typing import Annotated

from fastapi import APIRouter, Depends
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from app.api.dependencies import InstrumentsDep, MarketDataDep, ServicesDep
from app.api.identifiers import SymbolPath, unknown_symbol
from app.api.openapi import page_of
from app.api.paging import cut, decode_cursor, page_answer
from app.api.query import SEQUENCE_MAX, ListQuery, QueryOf
from app.api.reads import market_at, projection_snapshot
from app.protocol import schemas
from app.protocol.shapes import trade_shape
from app.storage.trades import list_trades, list_trades_after

CURSOR_KIND = "trades"
CURSOR_KIND_AFTER = "tradesafter"
router = APIRouter(tags=["market data"])


class TradesQuery(ListQuery, frozen=True, kw_only=True):
    """Which trades are listed."""

    after_id: Annotated[int, Meta(ge=0, le=SEQUENCE_MAX)] | None = None
    """List trades with a greater trade_id, oldest first: fills a gap in a stream."""


@router.get("/v1/trades/{symbol}", openapi_extra=page_of(schemas.Trade))
async def list_public_trades(
    request: Request,
    symbol: SymbolPath,
    query: Annotated[TradesQuery, Depends(QueryOf(TradesQuery))],
    market: MarketDataDep,
    instruments: InstrumentsDep,
    given: ServicesDep,
) -> Response:
    """List public trades, newest first; with `after_id` oldest first."""
    kind = CURSOR_KIND if query.after_id is None else CURSOR_KIND_AFTER
    position = decode_cursor(kind, query.cursor)
    await market_at(market, query.min_seq)
    instrument = instruments.get(symbol)
    if instrument is None:
        raise unknown_symbol()
    async with projection_snapshot(given, query.min_seq) as (connection, as_of_seq):
        if query.after_id is None:
            rows = await list_trades(connection, symbol, before=position, limit=query.limit + 1)
        else:
            after_id = query.after_id if position is None else max(position, query.after_id)
            rows = await list_trades_after(connection, symbol, after_id, limit=query.limit + 1)
    shown, next_position = cut(rows, query.limit, lambda row: row.trade.trade_id)
    shapes = [trade_shape(row.trade, instrument, row.timestamp_ns) for row in shown]
    return page_answer(request, shapes, kind=kind, next_position=next_position, as_of_seq=as_of_seq)
