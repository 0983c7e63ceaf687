"""`/v1/balances`: what the account has of each asset."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api.dependencies import InstrumentsDep, Reader, ServicesDep
from app.api.openapi import page_of
from app.api.paging import page_answer
from app.api.query import ReadParameters
from app.api.reads import account_snapshot, scale_of
from app.domain.decimals import format_scaled
from app.protocol import schemas
from app.protocol.ports import Instruments
from app.storage.balances import BalanceRow, list_balances

router = APIRouter(tags=["account"])


@router.get("/v1/balances", openapi_extra=page_of(schemas.Balance))
async def list_account_balances(
    request: Request, principal: Reader, query: ReadParameters, instruments: InstrumentsDep, given: ServicesDep
) -> Response:
    """List the account's balances by asset, in one page."""
    async with account_snapshot(given, principal, query.min_seq) as (connection, as_of_seq):
        rows = await list_balances(connection, principal.account_id)
    shapes = [_shape(row, instruments) for row in rows]
    return page_answer(request, shapes, kind="balances", next_position=None, as_of_seq=as_of_seq)


def _shape(row: BalanceRow, instruments: Instruments) -> schemas.Balance:
    scale = scale_of(instruments, row.asset)
    return schemas.Balance(
        asset=row.asset, available=format_scaled(row.available, scale), held=format_scaled(row.held, scale)
    )
