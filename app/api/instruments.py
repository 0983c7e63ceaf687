"""`/v1/instruments`: what is traded, with every filter and fee."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api.answers import read_answer
from app.api.dependencies import InstrumentsDep, MarketDataDep, ServicesDep
from app.api.identifiers import SymbolPath, unknown_symbol
from app.api.openapi import answer, page_of
from app.api.paging import page_answer
from app.api.query import ReadParameters
from app.api.reads import market_at
from app.domain.instrument import Instrument
from app.protocol import schemas
from app.protocol.shapes import instrument_shape

router = APIRouter(tags=["market data"])


@router.get("/v1/instruments", openapi_extra=page_of(schemas.InstrumentShape))
async def list_instruments(
    request: Request, query: ReadParameters, market: MarketDataDep, instruments: InstrumentsDep, given: ServicesDep
) -> Response:
    """List all instruments by symbol, in one page."""
    applied = await market_at(market, query.min_seq)
    shapes = [_shape(instrument, given.shard) for instrument in instruments.all()]
    return page_answer(request, shapes, kind="instruments", next_position=None, as_of_seq=applied)


@router.get("/v1/instruments/{symbol}", openapi_extra=answer(schemas.InstrumentShape, adds="as_of_seq"))
async def get_instrument(
    symbol: SymbolPath, query: ReadParameters, market: MarketDataDep, instruments: InstrumentsDep, given: ServicesDep
) -> Response:
    """Return one instrument."""
    applied = await market_at(market, query.min_seq)
    instrument = instruments.get(symbol)
    if instrument is None:
        raise unknown_symbol()
    return read_answer(_shape(instrument, given.shard), applied)


def _shape(instrument: Instrument, shard: int) -> schemas.InstrumentShape:
    shape = instrument_shape(instrument)
    shape.shard = shard
    return shape
