"""`/v1/positions`: what the account has bought and sold of each instrument, and what that is worth now."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api.dependencies import InstrumentsDep, MarketDataDep, Reader, ServicesDep
from app.api.openapi import page_of
from app.api.paging import page_answer
from app.api.query import ReadParameters
from app.api.reads import account_snapshot, instrument_of
from app.protocol.holdings import Position, PositionFigures, priced_position_shape
from app.protocol.ports import MarketData
from app.storage.positions import list_positions

router = APIRouter(tags=["account"])


@router.get("/v1/positions", openapi_extra=page_of(Position))
async def list_account_positions(
    request: Request,
    principal: Reader,
    query: ReadParameters,
    instruments: InstrumentsDep,
    market: MarketDataDep,
    given: ServicesDep,
) -> Response:
    """List the account's positions by symbol, in one page; a closed one keeps its realized_pnl and fees."""
    async with account_snapshot(given, principal, query.min_seq) as (connection, as_of_seq):
        rows = await list_positions(connection, principal.account_id)
    shapes = [
        priced_position_shape(
            PositionFigures(*row), instrument_of(instruments, row.symbol), await _price(market, row.symbol)
        )
        for row in rows
        if principal.may_see(row.symbol)
    ]
    return page_answer(request, shapes, kind="positions", next_position=None, as_of_seq=as_of_seq)


async def _price(market: MarketData, symbol: str) -> str | None:
    ticker = await market.ticker(symbol)
    return ticker.mark_price or ticker.last
