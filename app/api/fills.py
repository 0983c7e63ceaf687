"""`/v1/fills`: the account's side of each trade."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from app.api.dependencies import InstrumentsDep, Reader, ServicesDep
from app.api.identifiers import order_id_filter
from app.api.openapi import page_of
from app.api.paging import cut, decode_cursor, page_answer
from app.api.query import ListQuery, QueryOf
from app.api.reads import account_snapshot, instrument_of, known_symbol
from app.domain.instrument import Instrument
from app.protocol import fields, schemas
from app.protocol.shapes import notional_text, price_text, quantity_text, timestamp_text
from app.protocol.timestamps import timestamp_ns
from app.storage.fills import FillFilters, FillRow, list_fills

CURSOR_KIND = "fills"
router = APIRouter(tags=["orders"])


class FillsQuery(ListQuery, frozen=True, kw_only=True):
    """Which of the account's fills are listed; all given filters must match."""

    symbol: fields.SymbolText | None = None
    order_id: fields.IdText | None = None
    since: fields.Timestamp | None = None
    until: fields.Timestamp | None = None


@router.get("/v1/fills", openapi_extra=page_of(schemas.Fill))
async def list_account_fills(
    request: Request,
    principal: Reader,
    query: Annotated[FillsQuery, Depends(QueryOf(FillsQuery))],
    instruments: InstrumentsDep,
    given: ServicesDep,
) -> Response:
    """List the account's fills, newest first."""
    known_symbol(instruments, query.symbol)
    filters = FillFilters(
        symbol=query.symbol,
        order_id=None if query.order_id is None else order_id_filter(query.order_id),
        since_ns=None if query.since is None else timestamp_ns(query.since, field="since"),
        until_ns=None if query.until is None else timestamp_ns(query.until, field="until"),
        symbols=principal.symbols,
    )
    before = decode_cursor(CURSOR_KIND, query.cursor)
    async with account_snapshot(given, principal, query.min_seq) as (connection, as_of_seq):
        rows = await list_fills(connection, principal.account_id, filters, before=before, limit=query.limit + 1)
    shown, position = cut(rows, query.limit, lambda row: row.fill.account_seq)
    shapes = [_shape(row, instrument_of(instruments, row.symbol)) for row in shown]
    return page_answer(request, shapes, kind=CURSOR_KIND, next_position=position, as_of_seq=as_of_seq)


def _shape(row: FillRow, instrument: Instrument) -> schemas.Fill:
    fill = row.fill
    return schemas.Fill(
        trade_id=str(fill.trade_id),
        order_id=str(row.order_id),
        client_order_id=row.client_order_id,
        symbol=row.symbol,
        side=row.side,
        price=price_text(fill.price, instrument),
        quantity=quantity_text(fill.quantity, instrument),
        fee=notional_text(fill.fee, instrument),
        fee_asset=instrument.quote,
        liquidity=fill.liquidity,
        ts=timestamp_text(row.timestamp_ns),
        account_seq=fill.account_seq,
    )
