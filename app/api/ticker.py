"""`/v1/ticker`: best prices, the last trade and the statistics of 24 hours."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api.answers import read_answer
from app.api.dependencies import InstrumentsDep, MarketDataDep
from app.api.identifiers import SymbolPath, unknown_symbol
from app.api.openapi import answer, page_of
from app.api.paging import page_answer
from app.api.query import ReadParameters
from app.api.reads import market_at
from app.protocol import schemas

router = APIRouter(tags=["market data"])


@router.get("/v1/ticker", openapi_extra=page_of(schemas.Ticker))
async def list_tickers(
    request: Request, query: ReadParameters, market: MarketDataDep, instruments: InstrumentsDep
) -> Response:
    """List the tickers of all instruments, in one page."""
    applied = await market_at(market, query.min_seq)
    tickers = [await market.ticker(instrument.symbol) for instrument in instruments.all()]
    return page_answer(request, tickers, kind="ticker", next_position=None, as_of_seq=applied)


@router.get("/v1/ticker/{symbol}", openapi_extra=answer(schemas.Ticker, adds="as_of_seq"))
async def get_ticker(
    symbol: SymbolPath, query: ReadParameters, market: MarketDataDep, instruments: InstrumentsDep
) -> Response:
    """Return one instrument's ticker."""
    applied = await market_at(market, query.min_seq)
    if instruments.get(symbol) is None:
        raise unknown_symbol()
    return read_answer(await market.ticker(symbol), applied)
