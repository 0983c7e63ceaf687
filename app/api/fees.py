"""`/v1/fees`: what the account pays in each instrument, its volume, and how far the next fee tier is."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api.dependencies import InstrumentsDep, MarketDataDep, Reader, ServicesDep
from app.api.openapi import page_of
from app.api.paging import page_answer
from app.api.query import ReadParameters
from app.api.reads import market_at, standing_at
from app.protocol.standing import Fees, fees_shape

router = APIRouter(tags=["account"])


@router.get("/v1/fees", openapi_extra=page_of(Fees))
async def list_account_fees(
    request: Request,
    principal: Reader,
    query: ReadParameters,
    instruments: InstrumentsDep,
    market: MarketDataDep,
    given: ServicesDep,
) -> Response:
    """List the account's fees by instrument, in one page."""
    standing = await standing_at(given, principal, query.min_seq)
    # The rates are the lower of the instrument's and the tier's: the instruments must not be older than the tiers.
    await market_at(market, standing.engine_seq)
    by_asset = {fees.asset: fees for fees in standing.fees}
    shapes = [
        fees_shape(by_asset[instrument.quote], instrument)
        for instrument in instruments.all()
        # One that was listed since the leader answered.
        if instrument.quote in by_asset
    ]
    return page_answer(request, shapes, kind="fees", next_position=None, as_of_seq=standing.engine_seq)
